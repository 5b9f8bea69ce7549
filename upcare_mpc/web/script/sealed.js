// The other envelope: a Shamir share for each holder, sealed to it by HPKE.
//
// RFC 9180, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, by the browser's own
// primitives. Secret: the cells, the coefficients, the ephemeral keys.

import { T, joined } from "./lattice.js";

const KEM = ascii("KEM\x00\x20");
const HPKE = ascii("HPKE\x00\x20\x00\x01\x00\x02");
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const NOTHING = new Uint8Array(0);

function ascii(text) {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/**
 * The shares of integers from 0 to 2^61 - 2, at the points 1, 2, ..., encoded: 8 octets a cell.
 *
 * Each cell has a polynomial of its own of degree `threshold`, uniform but for its value at 0.
 */
export function shares(cells, { parties, threshold }, random) {
  const out = Array.from({ length: parties }, () => new Uint8Array(8 * cells.length));
  const views = out.map((share) => new DataView(share.buffer));
  cells.forEach((cell, place) => {
    const coefficients = Array.from({ length: threshold }, () => uniform(random));
    views.forEach((view, party) => {
      const point = BigInt(party + 1);
      const value = coefficients.reduceRight((sum, one) => ((sum + one) * point) % T, 0n);
      view.setBigUint64(8 * place, (value + BigInt(cell)) % T, true);
    });
  });
  return out;
}

function uniform(random) {
  for (;;) {
    const octets = random(8);
    const value = new DataView(octets.buffer, octets.byteOffset).getBigUint64(0, true) & T;
    if (value !== T) return value;
  }
}

/** Seal a message to a public key, 32 octets: the ephemeral key, then the ciphertext. */
export async function seal(recipient, message, info) {
  const theirs = await crypto.subtle.importKey("raw", recipient, "X25519", false, []);
  const ours = await crypto.subtle.generateKey("X25519", false, ["deriveBits"]);
  const ephemeral = new Uint8Array(await crypto.subtle.exportKey("raw", ours.publicKey));
  const agreement = { name: "X25519", public: theirs };
  const agreed = new Uint8Array(await crypto.subtle.deriveBits(agreement, ours.privateKey, 256));

  const between = await extract(KEM, NOTHING, "eae_prk", agreed);
  const parties = joined(ephemeral, recipient);
  const shared = await expand(KEM, between, "shared_secret", parties, KEY_BYTES);

  const context = joined(
    Uint8Array.of(0), // base mode
    await extract(HPKE, NOTHING, "psk_id_hash", NOTHING),
    await extract(HPKE, NOTHING, "info_hash", info),
  );
  const secret = await extract(HPKE, shared, "secret", NOTHING);
  const octets = await expand(HPKE, secret, "key", context, KEY_BYTES);
  const iv = await expand(HPKE, secret, "base_nonce", context, NONCE_BYTES);
  const key = await crypto.subtle.importKey("raw", octets, "AES-GCM", false, ["encrypt"]);
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, message);
  return joined(ephemeral, new Uint8Array(sealed));
}

async function extract(suite, salt, label, input) {
  return hmac(salt, ascii("HPKE-v1"), suite, ascii(label), input);
}

/** One block of HKDF-Expand, which is all that is asked for here. */
async function expand(suite, secret, label, info, length) {
  const head = Uint8Array.of(length >> 8, length & 255);
  const labelled = [head, ascii("HPKE-v1"), suite, ascii(label), info];
  return (await hmac(secret, ...labelled, Uint8Array.of(1))).slice(0, length);
}

async function hmac(key, ...parts) {
  const padded = key.length ? key : new Uint8Array(KEY_BYTES); // the same, and browsers take it
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", padded, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, joined(...parts)));
}
