// A patient's deposit, made on her device: the papers of upcare_mpc/deposits, in JavaScript.
//
//   openCollection   checks a collection and its key
//   answerVector     her answers as the cells of the study's tables
//   wrapped          the cells, encrypted; what is left to do wants her ticket
//   finished         the deposit
//
// docs/deposits/formats.md has every byte. Whoever serves this file can serve another one: it
// protects from everybody but the registry whose page it is.

import {
  checkCertificate,
  derSignature,
  fromBase64,
  hasSigned,
  hex,
  readCertificate,
} from "./certificates.js";
import { encrypt, framed, joined, prove, publicKey, sha256 } from "./lattice.js";
import { seal, shares } from "./sealed.js";

const NONCE_BYTES = 16;
const ROLE = "patient";
const P256 = { name: "ECDSA", namedCurve: "P-256" };

const text = new TextEncoder();

export function statement(use, ...fields) {
  return joined(text.encode(`upcare/v1/deposit-${use}|`), framed(...fields));
}

function pack(version, ...fields) {
  return joined(text.encode(version), framed(...fields));
}

function check(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}

/**
 * Check a collection, its study, and that every holder has signed one and the same key.
 *
 * described: what the page was given: `collection` and `study` (canonical, base64), `ca` (PEM),
 * `public` (base64), and `holders`, each with `certificate` (PEM), `sealing`, `signature` (base64).
 */
export async function openCollection(described, now) {
  const canonical = fromBase64(described.collection);
  const study = fromBase64(described.study);
  const collection = JSON.parse(new TextDecoder().decode(canonical));
  const digest = await sha256(text.encode("upcare/v1/collection|"), canonical);
  const studied = hex(await sha256(text.encode("upcare study v1\0"), study));
  check(collection.study === studied, "the collection is of another study");
  const authority = await readCertificate(described.ca);
  check(hex(authority.fingerprint) === collection.network, "the collection is of another network");
  check(described.holders.length === collection.holders.length, "a holder is missing");
  const encoded = fromBase64(described.public);
  const sealing = described.holders.map((holder) => fromBase64(holder.sealing));
  for (const [place, { name, certificate }] of collection.holders.entries()) {
    const given = described.holders[place];
    const found = await readCertificate(given.certificate);
    check(hex(found.fingerprint) === certificate, `not the certificate of ${name}`);
    await checkCertificate(found, authority, `${name}.registry.upcare`, now);
    const public_ = await sha256(encoded);
    const stated = statement("key", digest, text.encode(name), public_, sealing[place]);
    const signed = await hasSigned(found, stated, fromBase64(given.signature));
    check(signed, `${name} has not signed this key`);
  }
  const key = await jointKey(collection, digest, encoded);
  const asked = JSON.parse(new TextDecoder().decode(study));
  return { collection, digest, key, sealing, study: asked };
}

async function jointKey({ envelope }, digest, encoded) {
  if (envelope === "sealed") {
    check(encoded.length === 0, "a collection of sealed shares has no joint key");
    return null;
  }
  const key = await publicKey(encoded);
  const seed = await sha256(statement("seed", digest));
  check(hex(key.seed) === hex(seed), "the key is of another collection");
  return key;
}

/**
 * The cells of a questionnaire's tables: one table a question, then one a pair of questions.
 *
 * chosen: for each question the place of the option, or null. A table of a question that is left
 * out has zeros alone.
 */
export function answerVector(study, chosen) {
  const { questions, cross = [] } = study.options;
  check(study.kind === "questionnaire" && questions.length === chosen.length, "other questions");
  const texts = questions.map((question) => question.text.trim());
  const tables = [
    ...questions.map((_, place) => [place]),
    ...cross.map((pair) => pair.map((one) => texts.indexOf(one))),
  ];
  return tables.flatMap((places) => {
    const sizes = places.map((place) => questions[place].options.length);
    const cells = new Array(sizes.reduce((one, other) => one * other)).fill(0);
    const answers = places.map((place) => chosen[place]);
    if (answers.every((answer) => answer !== null)) {
      const cell = answers.reduce((sum, answer, axis) => {
        check(answer >= 0 && answer < sizes[axis], "no such answer");
        return sum * sizes[axis] + answer;
      }, 0);
      cells[cell] = 1;
    }
    return cells;
  });
}

/** A key for one collection; its private part cannot be taken out of the browser. */
export async function newKey() {
  const pair = await crypto.subtle.generateKey(P256, false, ["sign"]);
  const point = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return { point, sign: (stated) => signed(pair.privateKey, stated) };
}

async function signed(key, stated) {
  const raw = await crypto.subtle.sign({ ...P256, hash: "SHA-256" }, key, stated);
  return derSignature(new Uint8Array(raw));
}

/** Do what can be done with the cells before there is a ticket; the nonce is drawn first. */
export function wrapped(found, cells, random) {
  const { collection, key } = found;
  check(cells.length === collection.cells, "other cells than the collection's");
  const nonce = random(NONCE_BYTES);
  if (key) return { nonce, encrypted: encrypt(key, cells, random) };
  const { holders, threshold } = collection;
  return { nonce, dealt: shares(cells, { parties: holders.length, threshold }, random) };
}

/** Prove or seal, sign and encode what was wrapped, with a ticket and its certificate (PEM). */
export async function finished(found, half, key, ticket, certificate, random) {
  const papers = [found.digest, text.encode(ROLE), key.point, ticket];
  const context = await sha256(statement("context", ...papers, half.nonce));
  const payload = await payloadOf(found, half, context, random);
  const pem = text.encode(certificate);
  const stated = statement("submission", context, pem, await sha256(payload));
  return pack("UDP1", ...papers, pem, half.nonce, payload, await key.sign(stated));
}

async function payloadOf(found, { encrypted, dealt }, context, random) {
  if (found.key) {
    const proof = await prove(found.key, encrypted, context, random);
    return pack("UDR1", encrypted.ciphertext, proof);
  }
  const sealed = dealt.map((share, place) => {
    const info = statement("sealed-share", context, Uint8Array.of(place));
    return seal(found.sealing[place], share, info);
  });
  return pack("UDS1", ...(await Promise.all(sealed)));
}
