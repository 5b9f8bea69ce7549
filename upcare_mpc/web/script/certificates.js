// As much of X.509 and DER as it takes to check a registry's signature by the network's CA.
//
// Certificates of a network are P-256 keys that the CA has signed itself (ECDSA, SHA-256), each
// with one DNS name such as de-a.registry.upcare: link/certificates.py.

import { sha256 } from "./lattice.js";

const ECDSA = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const SCALAR = 32;
const SEQUENCE = 0x30;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const UTC_TIME = 0x17;
const EXTENSIONS = 0xa3;
const DNS_NAME = 0x82;
const ALT_NAME = "0603551d11"; // the extension's identifier, encoded
const ECDSA_SHA256 = "300a06082a8648ce3d040302";

const text = new TextDecoder("utf-8", { fatal: true });

export function hex(octets) {
  return Array.from(octets, (octet) => octet.toString(16).padStart(2, "0")).join("");
}

export function fromBase64(encoded) {
  return Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
}

/** The elements of a DER value, one after the other. */
function elements(octets) {
  const found = [];
  for (let at = 0; at < octets.length; ) {
    let start = at + 2;
    let length = octets[at + 1];
    if (length & 0x80) {
      const count = length & 0x7f;
      if (count < 1 || count > 3) throw new Error("not DER");
      length = 0;
      for (; start < at + 2 + count; start++) length = length * 256 + octets[start];
    }
    const end = start + length;
    if (!(end <= octets.length)) throw new Error("not DER");
    found.push({ tag: octets[at], whole: octets.slice(at, end), value: octets.slice(start, end) });
    at = end;
  }
  return found;
}

function inside(element, tag) {
  if (element === undefined || element.tag !== tag) throw new Error("not DER");
  return elements(element.value);
}

function moment(element) {
  const digits = text.decode(element.value);
  const year = element.tag === UTC_TIME ? (digits < "50" ? "20" : "19") + digits : digits;
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(year);
  return Date.UTC(y, mo - 1, d, h, mi, s);
}

function dnsNames(extensions) {
  const [list] = inside(extensions, EXTENSIONS);
  const found = inside(list, SEQUENCE)
    .map((one) => inside(one, SEQUENCE))
    .filter((parts) => hex(parts[0].whole) === ALT_NAME);
  if (found.length !== 1) throw new Error("a certificate names no party");
  const content = found[0].at(-1);
  if (content.tag !== OCTET_STRING) throw new Error("not DER");
  const [names] = elements(content.value);
  const host = (name) => (name.tag === DNS_NAME ? text.decode(name.value) : "");
  return inside(names, SEQUENCE).map(host);
}

/** Read a certificate (PEM); nothing about it is checked. */
export async function readCertificate(pem) {
  const [, encoded] = /-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/.exec(pem);
  const octets = fromBase64(encoded.replace(/\s/g, ""));
  const [certificate] = elements(octets);
  const [signed, algorithm, signature] = inside(certificate, SEQUENCE);
  const fields = inside(signed, SEQUENCE);
  // Version, serial number, algorithm, issuer, period, subject, key, extensions.
  const [from, until] = inside(fields[4], SEQUENCE).map(moment);
  if (hex(algorithm.whole) !== ECDSA_SHA256 || signature.tag !== BIT_STRING) {
    throw new Error("a certificate is signed in another way than this network's are");
  }
  return {
    fingerprint: await sha256(octets),
    signed: signed.whole,
    signature: signature.value.slice(1),
    from,
    until,
    key: await crypto.subtle.importKey("spki", fields[6].whole, ECDSA, false, ["verify"]),
    names: () => dnsNames(fields.at(-1)),
  };
}

/** Whether a certificate's key has signed a statement (ECDSA, DER). */
export async function hasSigned(certificate, statement, signature) {
  return crypto.subtle.verify(ECDSA, certificate.key, rawSignature(signature), statement);
}

/** Refuse a certificate unless the CA has signed it, for this host, and it is in force. */
export async function checkCertificate(certificate, authority, host, now) {
  const names = certificate.names();
  if (names.length !== 1 || names[0] !== host) throw new Error(`not the certificate of ${host}`);
  if (now < certificate.from || now > certificate.until) {
    throw new Error(`the certificate of ${host} is not in force`);
  }
  if (!(await hasSigned(authority, certificate.signed, certificate.signature))) {
    throw new Error(`the certificate of ${host} is not of this network`);
  }
}

/** r and s, 32 octets each, from DER. */
export function rawSignature(der) {
  const [sequence, ...rest] = elements(der);
  const numbers = inside(sequence, SEQUENCE);
  if (rest.length || numbers.length !== 2) throw new Error("not a signature");
  const out = new Uint8Array(2 * SCALAR);
  numbers.forEach(({ tag, value }, place) => {
    const digits = value[0] === 0 ? value.slice(1) : value;
    if (tag !== INTEGER || digits.length > SCALAR) throw new Error("not a signature");
    out.set(digits, SCALAR * (place + 1) - digits.length);
  });
  return out;
}

/** DER from r and s, 32 octets each: without leading zeros, but never negative. */
export function derSignature(raw) {
  const numbers = [raw.slice(0, SCALAR), raw.slice(SCALAR)].map((number) => {
    let start = 0;
    while (start < SCALAR - 1 && number[start] === 0) start++;
    const digits = Array.from(number.slice(start));
    if (digits[0] & 0x80) digits.unshift(0);
    return [INTEGER, digits.length, ...digits];
  });
  const content = numbers.flat();
  return Uint8Array.of(SEQUENCE, content.length, ...content);
}
