// SHAKE256 (FIPS 202). A lane of 64 bits is two words of 32, low then high.

const RATE = 136; // octets
const ROUNDS = 24;

// For lane x + 5 y: by how much it is rotated, and where it goes (rho, then pi).
const TURN = new Uint8Array(25);
const PLACE = new Uint8Array(25);
// The round constants (iota), low and high words.
const IOTA = new Uint32Array(2 * ROUNDS);

for (let x = 1, y = 0, t = 0; t < 24; t++) {
  TURN[x + 5 * y] = (((t + 1) * (t + 2)) / 2) % 64;
  [x, y] = [y, (2 * x + 3 * y) % 5];
}
for (let x = 0; x < 5; x++) {
  for (let y = 0; y < 5; y++) PLACE[x + 5 * y] = y + 5 * ((2 * x + 3 * y) % 5);
}
for (let round = 0, register = 1; round < ROUNDS; round++) {
  for (let j = 0; j < 7; j++) {
    const bit = (1 << j) - 1;
    if (register & 1) IOTA[2 * round + (bit >> 5)] ^= 1 << (bit & 31);
    register = (register << 1) ^ (register & 0x80 ? 0x171 : 0);
  }
}

function permute(state, column, moved) {
  for (let round = 0; round < ROUNDS; round++) {
    for (let x = 0; x < 10; x++) {
      column[x] = state[x] ^ state[x + 10] ^ state[x + 20] ^ state[x + 30] ^ state[x + 40];
    }
    for (let x = 0; x < 5; x++) {
      const before = 2 * ((x + 4) % 5);
      const after = 2 * ((x + 1) % 5);
      const low = column[before] ^ ((column[after] << 1) | (column[after + 1] >>> 31));
      const high = column[before + 1] ^ ((column[after + 1] << 1) | (column[after] >>> 31));
      for (let lane = 2 * x; lane < 50; lane += 10) {
        state[lane] ^= low;
        state[lane + 1] ^= high;
      }
    }
    for (let lane = 0; lane < 25; lane++) {
      const swap = TURN[lane] >> 5;
      const low = state[2 * lane + swap];
      const high = state[2 * lane + (swap ^ 1)];
      const turn = TURN[lane] & 31;
      const to = 2 * PLACE[lane];
      moved[to] = turn ? (low << turn) | (high >>> (32 - turn)) : low;
      moved[to + 1] = turn ? (high << turn) | (low >>> (32 - turn)) : high;
    }
    for (let row = 0; row < 50; row += 10) {
      for (let x = 0; x < 10; x++) {
        const [next, after] = [row + ((x + 2) % 10), row + ((x + 4) % 10)];
        state[row + x] = moved[row + x] ^ (~moved[next] & moved[after]);
      }
    }
    state[0] ^= IOTA[2 * round];
    state[1] ^= IOTA[2 * round + 1];
  }
}

/** `count` octets of SHAKE256 of a message. */
export function shake256(message, count) {
  const state = new Uint32Array(50);
  const column = new Uint32Array(10);
  const moved = new Uint32Array(50);
  const padded = new Uint8Array((Math.floor(message.length / RATE) + 1) * RATE);
  padded.set(message);
  padded[message.length] ^= 0x1f;
  padded[padded.length - 1] ^= 0x80;
  const view = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += RATE) {
    for (let word = 0; word < RATE / 4; word++) state[word] ^= view.getUint32(at + 4 * word, true);
    permute(state, column, moved);
  }
  const out = new Uint8Array(Math.ceil(count / RATE) * RATE);
  const written = new DataView(out.buffer);
  for (let at = 0; at < out.length; at += RATE) {
    if (at) permute(state, column, moved);
    for (let word = 0; word < RATE / 4; word++) written.setUint32(at + 4 * word, state[word], true);
  }
  return out.slice(0, count);
}
