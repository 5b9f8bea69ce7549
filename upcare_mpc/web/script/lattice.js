// Encryption under a joint key and the proof that goes with it: he/scheme.py and he/proof.py.
//
// docs/deposits/scheme.md and proof.md say what this does and why; formats.md has the bytes. Pure:
// `random(count)` gives so many octets. Secret: what it gives, the cells, and the witness.
// Not constant time: it runs on the device of whom the secrets are of.

import { shake256 } from "./keccak.js";

export const N = 8192;
export const Q = 0xffffffffffffffffffffffffff1d7fc0000000000715n;
export const T = (1n << 61n) - 1n;
const DELTA = (Q - 1n) / T;
const Q_BYTES = 22;
const PARAMETERS = "upcare-rlwe/1";
const ERROR_BOUND = 21;
const CHALLENGE_BITS = 160;
const SEED_BYTES = 32;
const MARGIN = 64;

const REACH = [
  CHALLENGE_BITS,
  CHALLENGE_BITS * ERROR_BOUND + CHALLENGE_BITS,
  CHALLENGE_BITS * ERROR_BOUND,
];
const BOXES = [2 ** 23 - 1, 2 ** 31 - 1, 2 ** 31 - 1];
const TRIES = 200; // each is thrown away with probability 0.17

const KEY_BYTES = 1 + SEED_BYTES + N * Q_BYTES;
const WIDTH = 28; // octets of a limb: 176 bits, 25 of a short one, 14 for N terms and a sign

const text = new TextEncoder();

// -- octets ---------------------------------------------------------------------------------------

export function joined(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
}

/** Each field behind its length, 4 octets, big-endian. */
export function framed(...fields) {
  return joined(...fields.flatMap((field) => [number32(field.length), field]));
}

export function number32(value) {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value);
  return out;
}

// -- polynomials modulo (q, X^N + 1) --------------------------------------------------------------

function elements(octets, count) {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.length);
  const found = new Array(count);
  for (let i = 0; i < count; i++) {
    const at = Q_BYTES * i;
    const high = BigInt(view.getUint16(at + 20, true) * 2 ** 32 + view.getUint32(at + 16, true));
    found[i] =
      (((high << 64n) | view.getBigUint64(at + 8, true)) << 64n) | view.getBigUint64(at, true);
  }
  return found;
}

function encoded(dense) {
  const out = new Uint8Array(Q_BYTES * dense.length);
  const view = new DataView(out.buffer);
  dense.forEach((x, i) => {
    const at = Q_BYTES * i;
    view.setBigUint64(at, BigInt.asUintN(64, x), true);
    view.setBigUint64(at + 8, BigInt.asUintN(64, x >> 64n), true);
    const high = Number(x >> 128n);
    view.setUint32(at + 16, high % 2 ** 32, true);
    view.setUint16(at + 20, Math.floor(high / 2 ** 32), true);
  });
  return out;
}

/** The public polynomial of a seed. */
export function expand(seed) {
  const octets = shake256(
    joined(text.encode("upcare/v1/rlwe-a|"), seed),
    Q_BYTES * (N + MARGIN),
  );
  return elements(octets, N + MARGIN)
    .filter((x) => x < Q)
    .slice(0, N);
}

/** One integer of `count` limbs from coefficients that are not negative. */
function packed(coefficients) {
  const hex = new Array(coefficients.length);
  for (let i = 0; i < coefficients.length; i++) {
    hex[coefficients.length - 1 - i] = coefficients[i].toString(16).padStart(2 * WIDTH, "0");
  }
  return BigInt("0x" + hex.join(""));
}

function packedShort(short) {
  return packed(short.map((x) => Math.max(x, 0))) - packed(short.map((x) => Math.max(-x, 0)));
}

const BITS = 8n * BigInt(WIDTH);
const LEAF = 2048; // coefficients; engines differ in how fast they multiply large integers

/** The product of two packed polynomials of so many coefficients each, by Karatsuba. */
function product(one, other, count) {
  if (count <= LEAF) return one * other;
  const half = count / 2;
  const bits = Number(BITS) * half;
  const [low, high] = halves(one, bits);
  const [otherLow, otherHigh] = halves(other, bits);
  const bottom = product(low, otherLow, half);
  const top = product(high, otherHigh, half);
  const middle = product(low + high, otherLow + otherHigh, half) - bottom - top;
  return bottom + (middle << BigInt(bits)) + (top << BigInt(2 * bits));
}

function halves(packed, bits) {
  const low = BigInt.asIntN(bits, packed);
  return [low, (packed - low) >> BigInt(bits)];
}

const OFFSET = packed(new Array(2 * N).fill(1n << (BITS - 2n)));

/** `dense * short` for a packed dense polynomial; N integers that are not reduced modulo q. */
function times(dense, short) {
  const sum = product(dense, packedShort(short), N) + OFFSET;
  const hex = sum.toString(16).padStart(4 * N * WIDTH, "0");
  const digits = 2 * WIDTH;
  const limb = (i) => {
    const end = hex.length - digits * i;
    return BigInt("0x" + hex.slice(end - digits, end));
  };
  return Array.from({ length: N }, (_, i) => limb(i) - limb(N + i));
}

function modQ(x) {
  const rest = x % Q;
  return rest < 0n ? rest + Q : rest;
}

// -- samplers -------------------------------------------------------------------------------------

/** Octets from the device's generator. */
export function deviceRandom(count) {
  const out = new Uint8Array(count);
  for (let at = 0; at < count; at += 65536) crypto.getRandomValues(out.subarray(at, at + 65536));
  return out;
}

function kept(draw) {
  const found = [];
  while (found.length < N) for (const x of draw()) found.push(x);
  return found.slice(0, N);
}

function ternary(random) {
  return kept(() => {
    const octets = random(N + N / 16).filter((octet) => octet < 255);
    return Array.from(octets, (octet) => (octet % 3) - 1);
  });
}

function binomial(random) {
  const width = 2 * ERROR_BOUND;
  const octets = random((width * N) / 8);
  const found = new Array(N).fill(0);
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < width; j++) {
      const place = width * i + j;
      const coin = (octets[place >> 3] >> (7 - (place & 7))) & 1;
      found[i] += j < ERROR_BOUND ? coin : -coin;
    }
  }
  return found;
}

function uniformBox(bound, random) {
  const mask = 2 * bound >= 2 ** 31 ? 0xffffffff : 2 ** Math.ceil(Math.log2(2 * bound + 1)) - 1;
  return kept(() => {
    const octets = random(4 * (N + N / 8));
    const view = new DataView(octets.buffer, octets.byteOffset, octets.length);
    const word = (_, i) => (view.getUint32(4 * i, true) & mask) >>> 0;
    const words = Array.from({ length: N + N / 8 }, word);
    return words.filter((word) => word <= 2 * bound).map((word) => word - bound);
  });
}

function uniformPlain(random) {
  return kept(() => {
    const octets = random(8 * N);
    const view = new DataView(octets.buffer, octets.byteOffset, octets.length);
    const words = Array.from({ length: N }, (_, i) => view.getBigUint64(8 * i, true) & T);
    return words.filter((word) => word !== T);
  });
}

// -- keys and encryption --------------------------------------------------------------------------

/** A public key from its octets; refused if they are not canonical. */
export async function publicKey(octets) {
  if (octets.length !== KEY_BYTES || octets[0] !== 1) throw new Error("not a public key");
  const b = elements(octets.subarray(1 + SEED_BYTES), N);
  if (b.some((x) => x >= Q)) throw new Error("not a public key");
  const seed = octets.slice(1, 1 + SEED_BYTES);
  return {
    seed,
    b: packed(b),
    a: packed(expand(seed)),
    digest: await sha256(text.encode("upcare/v1/rlwe-key|"), octets),
  };
}

/** Encrypt integers between -t and t: the ciphertext's octets, and the witness. */
export function encrypt(key, cells, random) {
  const given = cells.map((x) => BigInt(x));
  if (given.some((x) => x <= -T || x >= T)) throw new Error("a cell is out of range");
  const plain = given.map((x) => (x < 0n ? x + T : x));
  const head = new Uint8Array(5);
  head[0] = 1;
  new DataView(head.buffer).setUint32(1, cells.length, true);
  const parts = [head];
  const witness = [];
  for (let at = 0; at < plain.length; at += N) {
    const m = plain.slice(at, at + N);
    while (m.length < N) m.push(0n);
    const one = { u: ternary(random), e0: binomial(random), e1: binomial(random), m };
    const masked = times(key.b, one.u);
    const mask = times(key.a, one.u);
    parts.push(encoded(masked.map((x, i) => modQ(x + BigInt(one.e0[i]) + DELTA * m[i]))));
    parts.push(encoded(mask.map((x, i) => modQ(x + BigInt(one.e1[i])))));
    witness.push(one);
  }
  return { ciphertext: joined(...parts), witness };
}

// -- the proof ------------------------------------------------------------------------------------

/** Prove that the plaintext of a fresh ciphertext is known. */
export async function prove(key, { ciphertext, witness }, context, random) {
  const prefix = joined(
    text.encode("upcare/v1/deposit-proof|"),
    framed(text.encode(PARAMETERS), key.digest, context, await sha256(ciphertext)),
  );
  const parts = [Uint8Array.of(1)];
  for (const [number, one] of witness.entries()) {
    parts.push(await provedBlock(key, joined(prefix, number32(number)), one, random));
  }
  return joined(...parts);
}

async function provedBlock(key, prefix, { u, e0, e1, m }, random) {
  for (let tried = 0; tried < TRIES; tried++) {
    const [yu, y0, y1] = BOXES.map((bound) => uniformBox(bound, random));
    const ym = uniformPlain(random);
    const t0 = times(key.b, yu).map((x, i) => modQ(x + BigInt(y0[i]) + DELTA * ym[i]));
    const t1 = times(key.a, yu).map((x, i) => modQ(x + BigInt(y1[i])));
    const h = await sha256(prefix, encoded(t0), encoded(t1));
    const ones = challenge(h);
    const { zm, wraps } = plainResponse(ones, ym, m);
    const zu = added(yu, shifted(ones, u));
    const z0 = added(y0, shifted(ones, e0)).map((x, i) => x - wraps[i]);
    const z1 = added(y1, shifted(ones, e1));
    const inside = [zu, z0, z1].every((z, place) => {
      const most = BOXES[place] - REACH[place];
      return z.every((x) => Math.abs(x) <= most);
    });
    if (inside) return joined(h, response(zu, z0, z1, zm));
  }
  throw new Error("a proof was thrown away more often than can be");
}

/** The places of the ones among the first 160 bits of a hash. */
export function challenge(h) {
  const places = Array.from({ length: CHALLENGE_BITS }, (_, i) => i);
  return places.filter((i) => (h[i >> 3] >> (i & 7)) & 1);
}

/** `c v` modulo X^N + 1 over the integers, exact in 53 bits. */
function shifted(ones, v) {
  const sum = new Float64Array(N);
  for (const shift of ones) {
    for (let i = 0; i < N - shift; i++) sum[i + shift] += v[i];
    for (let i = N - shift; i < N; i++) sum[i + shift - N] -= v[i];
  }
  return sum;
}

function added(one, other) {
  return one.map((x, i) => x + other[i]);
}

/** `y_m + c m = z_m + t wraps` over the integers, z_m in [0, t). */
function plainResponse(ones, ym, m) {
  const low = shifted(ones, m.map((x) => Number(x & 0xffffffffn)));
  const high = shifted(ones, m.map((x) => Number(x >> 32n)));
  const zm = new Array(N);
  const wraps = new Array(N);
  for (let i = 0; i < N; i++) {
    const whole = ym[i] + (BigInt(high[i]) << 32n) + BigInt(low[i]);
    let rest = whole % T;
    if (rest < 0n) rest += T;
    zm[i] = rest;
    wraps[i] = Number((whole - rest) / T);
  }
  return { zm, wraps };
}

function response(zu, z0, z1, zm) {
  const out = new Uint8Array(N * (3 + 4 + 4 + 8));
  const view = new DataView(out.buffer);
  for (let i = 0; i < N; i++) {
    view.setUint16(3 * i, zu[i] & 0xffff, true);
    view.setInt8(3 * i + 2, zu[i] >> 16);
    view.setInt32(3 * N + 4 * i, z0[i], true);
    view.setInt32(7 * N + 4 * i, z1[i], true);
    view.setBigUint64(11 * N + 8 * i, zm[i], true);
  }
  return out;
}
