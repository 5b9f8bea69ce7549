// Makes a deposit beside the page, which stays usable; the key and the answers do not leave it.
//
//   { description, chosen }       checked and encrypted; answers { point }
//   { ticket, certificate }       proved and signed; answers { deposit }
//
// Whatever goes wrong is answered with { failed }. One worker has one key: if the ticket for it gets
// lost on its way, the registry gives the same one again, and would give none to another key.

import { fromBase64 } from "./certificates.js";
import { answerVector, finished, newKey, openCollection, wrapped } from "./deposit.js";
import { deviceRandom } from "./lattice.js";

let key = null;
let begun = null;

async function begin({ description, chosen }) {
  const found = await openCollection(description, Date.now());
  key ??= await newKey();
  const half = wrapped(found, answerVector(found.study, chosen), deviceRandom);
  begun = { found, half };
  return { point: key.point };
}

async function finish({ ticket, certificate }) {
  const { found, half } = begun;
  const encoded = fromBase64(ticket);
  return { deposit: await finished(found, half, key, encoded, certificate, deviceRandom) };
}

self.onmessage = async ({ data }) => {
  try {
    self.postMessage(await (data.description ? begin(data) : finish(data)));
  } catch (error) {
    self.postMessage({ failed: String(error.message) });
  }
};
