"""A wrapping key sealed under a policy: FABEO made secure against chosen ciphertexts.

The transformation of Fujisaki and Okamoto, as T and U of Hofheinz, Hoevelmanns and Kiltz (TCC
2017) with explicit rejection: the ciphertext's coins come from a hash of a random seed, the seed
itself is masked by what the ciphertext hides, and whoever opens encrypts again and compares.

    m       32 random bytes
    bound = SHA-256("upcare/abe/v1/bound" | public key | length | policy | length | context)
    coin_i = 1 + HMAC-SHA512(m, "upcare/abe/v1/coin" | bound | i) mod (ORDER - 1),   i = 1, 2, ...
    ct, d = encrypt(policy; coin_1, coin_2, ...)
    body  = "UAH1" | ct
    header = body | m xor HKDF(d; salt "upcare/abe/v1/mask", info SHA-256(body))
    wrapping key = HKDF(m; salt "upcare/abe/v1/key", info bound | SHA-256(header))

A length is that of what follows, 4 bytes, and i is 2, big-endian; d is 576 bytes (``groups``); HKDF
is HKDF-SHA256 to 32 bytes; "UAH1" is kind and version. Public key, policy and context are bound: a
header opens under the same three only. The context is not in the header; whoever opens states it.

What is claimed: the adversary holds the public key, has attribute keys none of which satisfies the
policy, and may have any other header opened by any key. To it the wrapping key is as good as
random, in the generic group model with random oracles. For a header that it altered or made up:
every key that ``scheme.verify_key`` accepts and that satisfies the policy opens it to one and the
same wrapping key, or none does.

Why rejection is explicit: an implicit one needs a secret seed in every key, which nobody could
verify; and it would give two readers of one malformed header two different keys, where now both see
the same error. The error tells nothing but that: malformed, altered, another context, network, or
attributes that do not suffice are one text.

What is not claimed: who sealed; anybody can. The limits of ``scheme`` hold here too. The time of a
refusal depends on its reason, and on the key: opening is for its holder, at home, and is not to be
offered as a service.
"""

from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest, digest
from itertools import count
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from upcare_mpc.abe.groups import ORDER, RandomBytes
from upcare_mpc.abe.keys import AttributeKey, PublicKey
from upcare_mpc.abe.policy import Policy
from upcare_mpc.abe.scheme import MAX_CIPHERTEXT_BYTES, Ciphertext, decrypt, encrypt
from upcare_mpc.errors import ProtocolError

__all__ = ["KEY_BYTES", "MAX_HEADER_BYTES", "decapsulate", "encapsulate"]

KEY_BYTES: Final = 32
_SEED_BYTES = 32
_VERSION = b"UAH1"
_LABEL = b"upcare/abe/v1/"

MAX_HEADER_BYTES: Final = len(_VERSION) + MAX_CIPHERTEXT_BYTES + _SEED_BYTES


def encapsulate(
    public: PublicKey, policy: Policy, *, context: bytes, random: RandomBytes
) -> tuple[bytes, bytes]:
    """Make a fresh wrapping key and seal it under a policy.

    Args:
        public: Of the network.
        policy: Who may open. Public.
        context: What the key is for: registry, epoch, version. Whoever opens states the same.
        random: Called once, for 32 bytes.

    Returns:
        The header, public: 134 bytes, the policy, 96 for each use of the attribute used most, and
        48 for each row; and the wrapping key, 32 bytes, secret.

    Cost: as ``scheme.encrypt``.
    """
    return _seal(public, policy, context, random(_SEED_BYTES))


def decapsulate(public: PublicKey, key: AttributeKey, header: bytes, *, context: bytes) -> bytes:
    """Open a header.

    Args:
        public: Of the network.
        key: Of the reader. Secret.
        header: From anybody.
        context: What the key is for, as the reader expects it.

    Returns:
        The wrapping key, 32 bytes. Secret.

    Raises:
        ProtocolError: It does not open; one text whatever the reason.

    Cost: one check of every point, ``scheme.decrypt``, and ``scheme.encrypt``. Nothing is read of a
    header longer than 12 KB.
    """
    try:
        return _open(public, key, header, context)
    except ProtocolError:
        raise ProtocolError("the sealed key does not open") from None


def _open(public: PublicKey, key: AttributeKey, header: bytes, context: bytes) -> bytes:
    if len(header) > MAX_HEADER_BYTES or not header.startswith(_VERSION):
        raise ProtocolError("not a header of version 1")
    body, masked = header[:-_SEED_BYTES], header[-_SEED_BYTES:]
    ciphertext = Ciphertext.from_bytes(public.group, body[len(_VERSION) :])
    hidden = decrypt(public.group, ciphertext, key)
    seed = _masked(masked, bytes(hidden), body)
    again, wrapping_key = _seal(public, ciphertext.policy, context, seed)
    if not compare_digest(again, header):
        raise ProtocolError("not a header that encapsulate makes")
    return wrapping_key


def _seal(public: PublicKey, policy: Policy, context: bytes, seed: bytes) -> tuple[bytes, bytes]:
    bound = _bound(bytes(public), str(policy).encode(), context)
    ciphertext, hidden = encrypt(public, policy, _coins(seed, bound))
    body = _VERSION + bytes(ciphertext)
    header = body + _masked(seed, bytes(hidden), body)
    return header, _derive(seed, use=b"key", info=bound + sha256(header).digest())


def _bound(public: bytes, policy: bytes, context: bytes) -> bytes:
    lengths = [len(part).to_bytes(4) for part in (policy, context)]
    return sha256(
        b"".join([_LABEL, b"bound", public, lengths[0], policy, lengths[1], context])
    ).digest()


def _coins(seed: bytes, bound: bytes) -> Callable[[], int]:
    """Scalars from 1 to ``ORDER - 1``, within 2^-256 of uniform, that the seed determines."""
    numbers = count(1)

    def coin() -> int:
        message = _LABEL + b"coin" + bound + next(numbers).to_bytes(2)
        return 1 + int.from_bytes(digest(seed, message, "sha512")) % (ORDER - 1)

    return coin


def _masked(seed: bytes, hidden: bytes, body: bytes) -> bytes:
    mask = _derive(hidden, use=b"mask", info=sha256(body).digest())
    return bytes(a ^ b for a, b in zip(seed, mask, strict=True))


def _derive(secret: bytes, *, use: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=_LABEL + use, info=info).derive(secret)
