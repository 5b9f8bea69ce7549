"""Microsoft SEAL as an oracle: what it encrypts we decrypt, and the other way round.

SEAL takes primes of 60 bits at most, ours has 176, so a test puts a prime of SEAL in place of ours.

Covered: the key equation, encryption, sums, decryption with rounding, and the size of errors (SEAL
draws the same ternary and centred binomial laws), through our samplers, products and code of
``scheme``. Not covered: q, t and Delta of the one parameter set, how is reduced modulo q, and the
proof, which SEAL lacks.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from joint import exact

from upcare_mpc.he import ring, scheme
from upcare_mpc.he.parameters import ERROR_BOUND, N
from upcare_mpc.he.sampling import Integers, binomial, ternary

seal = pytest.importorskip(
    "tenseal.sealapi", reason="SEAL is not compared with: tenseal is missing (pip install tenseal)"
)

PLAIN = 65_537


@dataclass(frozen=True)
class World:
    """One key in both programs.

    Attributes:
        context: SEAL's, of one prime.
        prime: That prime, in place of q.
        folder: For SEAL's files; it takes nothing else.
        secret: ``(N,)`` s, of three holders.
        error: ``(N,)`` of the key.
        b: Coefficients modulo the prime.
        a: The same.
    """

    context: Any
    prime: int
    folder: Path
    secret: Integers
    error: Integers
    b: list[int]
    a: list[int]

    def ciphertext(self, *halves: list[int]) -> Any:
        """Give SEAL a ciphertext, in its format, not compressed."""
        words = [x for half in halves for x in half]
        data = struct.pack(f"<Q{len(words)}Q", len(words), *words)
        inner = struct.pack("<4QBQQQdQ", *self.context.first_parms_id(), 0, 2, N, 1, 1.0, 1)
        self.path.write_bytes(self._framed(inner + self._framed(data)))
        loaded = seal.Ciphertext()
        loaded.load(self.context, str(self.path))
        return loaded

    def public(self) -> Any:
        """Our public key as SEAL's: a ciphertext (b, a) after a transform that SEAL does."""
        transformed = seal.Ciphertext()
        seal.Evaluator(self.context).transform_to_ntt(self.ciphertext(self.b, self.a), transformed)
        return self._moved(transformed, seal.PublicKey())

    def private(self) -> Any:
        """Our secret as SEAL's secret key: a plaintext after a transform that SEAL does."""
        transformed = seal.Plaintext()
        plain = polynomial((self.secret % PLAIN).tolist())
        evaluator = seal.Evaluator(self.context)
        evaluator.transform_to_ntt(plain, self.context.first_parms_id(), transformed)
        return self._moved(transformed, seal.SecretKey())

    def phase(self, ciphertext: Any) -> list[int]:
        """``c0 + c1 s`` of a ciphertext of SEAL, by our product; between -prime/2 and prime/2."""
        array = ciphertext.dyn_array()
        words = [array.at(place) for place in range(2 * N)]
        masked = exact(words[N:], self.secret.tolist())
        values = [(x + y) % self.prime for x, y in zip(words[:N], masked, strict=True)]
        return [x - self.prime if x > self.prime // 2 else x for x in values]

    def variance(self) -> float:
        """Of one coefficient of the error of one ciphertext, given the key."""
        error, secret = (float((x * x).sum()) for x in (self.error, self.secret))
        return error * 2 / 3 + (1 + secret) * ERROR_BOUND / 2

    @property
    def path(self) -> Path:
        return self.folder / "seal"

    def _moved(self, source: Any, target: Any) -> Any:
        source.save(str(self.path))
        target.load(self.context, str(self.path))
        return target

    def _framed(self, content: bytes) -> bytes:
        """Behind SEAL's header: magic, its length, SEAL's version, no compression, whole length."""
        seal.Plaintext("1").save(str(self.path))
        version = self.path.read_bytes()[3:5]
        return b"\x5e\xa1\x10" + version + bytes(3) + struct.pack("<Q", 16 + len(content)) + content


def polynomial(cells: list[int]) -> Any:
    """A plaintext as SEAL reads one: hexadecimal terms, highest first."""
    terms = [f"{cell:X}x^{place}" for place, cell in enumerate(cells) if cell and place]
    return seal.Plaintext(" + ".join([*reversed(terms), f"{cells[0]:X}"]))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.BFV)
    parameters.set_poly_modulus_degree(N)
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(N, [60]))
    parameters.set_plain_modulus(PLAIN)
    context = seal.SEALContext(parameters, True, seal.SEC_LEVEL_TYPE.TC128)
    (prime,) = (modulus.value() for modulus in parameters.coeff_modulus())
    secret = sum((ternary(os.urandom) for _ in range(3)), start=np.zeros(N, np.int64))
    error = sum((binomial(os.urandom) for _ in range(3)), start=np.zeros(N, np.int64))
    octets = os.urandom(16 * N)
    a = [int.from_bytes(octets[at : at + 16], "little") % prime for at in range(0, 16 * N, 16)]
    b = [(e - x) % prime for e, x in zip(error.tolist(), exact(a, secret.tolist()), strict=True)]
    folder = tmp_path_factory.mktemp("seal")
    return World(context, prime, folder, secret, error, b, a)


def encrypted_by_seal(world: World, cells: list[int]) -> Any:
    ciphertext = seal.Ciphertext()
    seal.Encryptor(world.context, world.public()).encrypt(polynomial(cells), ciphertext)
    return ciphertext


def decrypted_by_seal(world: World, ciphertext: Any) -> list[int]:
    plain = seal.Plaintext()
    seal.Decryptor(world.context, world.private()).decrypt(ciphertext, plain)
    cells = [0] * N
    for place in range(plain.coeff_count()):
        cells[place] = plain.data(place)
    return cells


def encrypted_by_us(world: World, patch: pytest.MonkeyPatch, cells: list[int]) -> Any:
    def reduced(limbs: ring.Limbs) -> ring.Elements:
        rows = [[x << 16 * place for x in row] for place, row in enumerate(limbs.tolist())]
        return ring.of_integers([sum(column) % world.prime for column in zip(*rows, strict=True)])

    patch.setattr(ring, "reduced", reduced)
    patch.setattr(ring, "_DELTA", ring._in_limbs(world.prime // PLAIN))
    patch.setattr(scheme, "T", PLAIN)
    spectra = tuple(ring.of_elements(ring.of_integers(half)) for half in (world.b, world.a))
    encrypted = scheme.encrypt(SimpleNamespace(spectra=spectra), cells, os.urandom)  # type: ignore[arg-type]
    (block,) = encrypted.ciphertext.blocks
    halves = block[: len(block) // 2], block[len(block) // 2 :]
    return world.ciphertext(*(ring.from_bytes(half) for half in halves))


def drawn_cells() -> list[int]:
    return np.random.default_rng(int.from_bytes(os.urandom(8))).integers(0, PLAIN, N).tolist()


def as_wide_as_stated(world: World, errors: list[int]) -> bool:
    """Within ten deviations of the sample variance, see ``test_noise``."""
    ratio = float((np.array(errors, float) ** 2).mean()) / world.variance()
    return abs(ratio - 1) < 10 * (4 / N) ** 0.5


def test_we_decrypt_what_seal_encrypts_and_adds_under_our_key(world: World) -> None:
    left, right = drawn_cells(), drawn_cells()
    total = seal.Ciphertext()
    seal.Evaluator(world.context).add(
        encrypted_by_seal(world, left), encrypted_by_seal(world, right), total
    )

    found = [round(PLAIN * w / world.prime) % PLAIN for w in world.phase(total)]

    assert found == [(x + y) % PLAIN for x, y in zip(left, right, strict=True)]


def test_errors_of_seal_are_as_wide_as_ours(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    of_seal = world.phase(encrypted_by_seal(world, [0] * N))
    ours = world.phase(encrypted_by_us(world, monkeypatch, [0] * N))

    assert as_wide_as_stated(world, of_seal)
    assert as_wide_as_stated(world, ours)
    assert not as_wide_as_stated(world, [2 * e for e in ours])


def test_seal_decrypts_what_we_encrypt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = drawn_cells()

    ciphertext = encrypted_by_us(world, monkeypatch, cells)

    decryptor = seal.Decryptor(world.context, world.private())
    assert decrypted_by_seal(world, ciphertext) == cells
    assert decryptor.invariant_noise_budget(ciphertext) > 20  # bits that are left
