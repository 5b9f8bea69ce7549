"""The only place that reveals: noisy output shares, sealed to the researcher who asked.

Each computing party seals its share of the noisy vector to the researcher's X25519 key (HPKE,
RFC 9180: X25519, HKDF-SHA256, AES-256-GCM) and signs the sealed bytes. The platform carries them
and can open none. The researcher opens all, checks that every share lies on ONE polynomial of
degree t, and recombines.

What is opened: sums over registries plus noise. Adversary: the platform, the network and any t
computing parties learn nothing about it. Shares are not re-randomised: t shares and the opened
vector already determine the sharing polynomial, so the remaining shares tell the researcher
nothing more.

Where a study has a rule about small cells or a minimum cohort (``programs.suppress``), a sealed
share begins with what may open, and holds zeros in place of all else: no share of a cell that is
not shown leaves its party. Its length does not depend on how many cells are shown.

Bound into every sealed share (HPKE info): session digest, sender, its index, the number of cells,
and whether there is a rule; a share moved to another session, sender or length does not open. All
failures to open are one error with one text.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from upcare_mpc.errors import OpeningError, ProtocolError
from upcare_mpc.mpc import field
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.programs.contract import compares
from upcare_mpc.study.descriptor import Descriptor

__all__ = [
    "Opened",
    "Passing",
    "open_passing",
    "open_result",
    "open_sealed",
    "output_statement",
    "seal_share",
    "sealed_bytes",
    "unseal_passing",
    "unseal_share",
]

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_VERSION = b"\x01"
_OVERHEAD_BYTES = 49  # version 1, encapsulated key 32, tag 16
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """What of a noisy vector may open; post-processing of it, so covered by its guarantee.

    Attributes:
        cohort_met: Whether the noisy total reaches the study's minimum; if not, nothing is shown.
        shown: ``(n,)`` which cells open.
    """

    cohort_met: bool
    shown: npt.NDArray[np.bool_]

    def to_bytes(self) -> bytes:
        """Encode: one byte for the cohort, then one bit a cell, lowest bit first, padded by 0."""
        return bytes([self.cohort_met]) + np.packbits(self.shown, bitorder="little").tobytes()

    @classmethod
    def from_bytes(cls, payload: bytes, *, cells: int) -> "Passing":
        """Decode exactly what ``to_bytes`` gives for ``cells`` cells, or refuse."""
        octets = np.frombuffer(payload, np.uint8)
        if len(octets) == _passing_bytes(cells):
            shown = np.unpackbits(octets[1:], count=cells, bitorder="little").astype(np.bool_)
            passing = cls(cohort_met=bool(octets[0]), shown=shown)
            if passing.to_bytes() == payload and (passing.cohort_met or not shown.any()):
                return passing
        raise ProtocolError(f"what may open of {cells} cells is not in canonical form")


def _passing_bytes(cells: int) -> int:
    return 1 + -(-cells // 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A recombined noisy vector.

    Attributes:
        noisy: ``(n,)`` signed integers; masked (``numpy.ma``) where a cell is not shown.
        shares: How many shares were used.
        checked: Whether more than t + 1 shares were there, so that a wrong one would show.
        passing: What is shown, if the study has a rule about it.
    """

    noisy: npt.NDArray[np.int64]
    shares: int
    checked: bool
    passing: Passing | None = None


def _info(session: bytes, sender: str, index: int, cells: int, *, rule: bool) -> bytes:
    use = b"passing-output" if rule else b"output"
    return b"upcare/v1/%s|%s|%s|%d|%d" % (use, session, sender.encode(), index, cells)


def seal_share(
    share: Words,
    recipient: bytes,
    *,
    session: bytes,
    sender: str,
    index: int,
    passing: Passing | None = None,
) -> bytes:
    """Seal one party's output share to the researcher.

    Args:
        share: ``(n,)`` field elements. Secret.
        recipient: Raw X25519 public key, 32 bytes.
        session: Digest of the session descriptor.
        sender: Name of the computing party.
        index: Its place in the roster.
        passing: What may open, if the study has a rule about it; the rest is not sealed.

    Returns:
        Version byte and HPKE ciphertext: ``8 n + 49`` bytes, with a rule ``1 + ceil(n / 8)`` more.

    Raises:
        ProtocolError: The recipient's bytes are not a usable key (a point of small order, say).
    """
    info = _info(session, sender, index, share.shape[0], rule=passing is not None)
    payload = field.to_bytes(share)
    if passing is not None:
        payload = passing.to_bytes() + field.to_bytes(share * passing.shown)
    try:
        key = X25519PublicKey.from_public_bytes(recipient)
        return _VERSION + _SUITE.encrypt(payload, key, info=info)
    except ValueError:
        raise ProtocolError("the researcher's sealing key is not a usable X25519 key") from None


def unseal_share(
    sealed: bytes, key: X25519PrivateKey, *, session: bytes, sender: str, index: int, cells: int
) -> Words:
    """Open one sealed share of a study without a rule about what is shown.

    Raises:
        OpeningError: It does not open under this key for this session, sender and length.
    """
    info = _info(session, sender, index, cells, rule=False)
    return field.from_bytes(_decrypt(sealed, key, info, sender), cells=cells)


def unseal_passing(
    sealed: bytes, key: X25519PrivateKey, *, session: bytes, sender: str, index: int, cells: int
) -> tuple[Passing, Words]:
    """Open one sealed share of a study with a rule about what is shown.

    Raises:
        OpeningError: It does not open under this key for this session, sender and length, or it
            holds something in place of a cell that is not shown.
        ProtocolError: What opens is not in canonical form.
    """
    info = _info(session, sender, index, cells, rule=True)
    payload = _decrypt(sealed, key, info, sender)
    size = _passing_bytes(cells)
    passing = Passing.from_bytes(payload[:size], cells=cells)
    share = field.from_bytes(payload[size:], cells=cells)
    if share[~passing.shown].any():
        raise OpeningError(f"the share of {sender} holds cells that it says are not shown")
    return passing, share


def _decrypt(sealed: bytes, key: X25519PrivateKey, info: bytes, sender: str) -> bytes:
    try:
        if sealed[:1] != _VERSION:
            raise InvalidTag
        return _SUITE.decrypt(sealed[1:], key, info=info)
    except (InvalidTag, ValueError):
        raise OpeningError(f"the sealed share of {sender} does not open") from None


def output_statement(
    session: bytes, index: int, agreement: bytes, sealed: bytes, dropped: Sequence[int] = ()
) -> bytes:
    """The bytes a computing party signs with its output: what was agreed, and what it sealed.

    Args:
        session: Digest of the session descriptor.
        index: The party's place in the roster.
        agreement: What all computing parties agreed on.
        sealed: The sealed share.
        dropped: Places of patients' deposits that did not enter; 4 bytes each, at the end.
    """
    places = (place.to_bytes(4, "big") for place in dropped)
    content = hashlib.sha256(sealed).digest()
    return b"upcare/v1/output-statement|" + b"".join(
        (session, index.to_bytes(2, "big"), agreement, content, *places)
    )


def open_result(shares: Mapping[int, Words], *, parties: int, threshold: int) -> Opened:
    """Recombine the noisy vector from unsealed shares, checking them against each other.

    Raises:
        OpeningError: Fewer than t + 1 shares, or they do not belong together. A party that is
            framed by this could be honest, so nobody is named and nothing is corrected.
    """
    if any(not 0 <= index < parties for index in shares):
        raise OpeningError("a share comes from outside the committee")
    values = field.open_shares(dict(shares), threshold=threshold)
    return Opened(
        noisy=field.decode(values), shares=len(shares), checked=len(shares) > threshold + 1
    )


def open_passing(
    outputs: Mapping[int, tuple[Passing, Words]], *, parties: int, threshold: int
) -> Opened:
    """Recombine what is shown of a noisy vector from unsealed shares.

    Raises:
        OpeningError: As ``open_result``, or the parties do not say the same about what is shown.
    """
    said = {index: passing.to_bytes() for index, (passing, _) in outputs.items()}
    if len(set(said.values())) > 1:
        raise OpeningError("the shares of this result do not show the same cells; result rejected")
    shares = {index: share for index, (_, share) in outputs.items()}
    opened = open_result(shares, parties=parties, threshold=threshold)
    passing, _ = next(iter(outputs.values()))
    noisy: npt.NDArray[np.int64] = np.ma.masked_array(opened.noisy, mask=~passing.shown)
    return replace(opened, noisy=noisy, passing=passing)


def sealed_bytes(descriptor: Descriptor) -> int:
    """Length of every sealed share of a session: a function of the study alone."""
    header = _passing_bytes(descriptor.cells) if compares(descriptor.program) else 0
    return header + 8 * descriptor.cells + _OVERHEAD_BYTES


def open_sealed(
    sealed: Mapping[int, bytes], key: X25519PrivateKey, descriptor: Descriptor
) -> Opened:
    """Unseal the outputs of a session, by place in the roster, and recombine what is shown.

    Args:
        sealed: At least t + 1 of the m outputs.
        key: The researcher's.
        descriptor: The session.

    Raises:
        OpeningError: One does not open, or they do not belong together.
        ProtocolError: What opens is not in canonical form.
    """

    def each(unseal: Callable[..., T]) -> dict[int, T]:
        return {
            index: unseal(
                content,
                key,
                session=descriptor.digest,
                sender=descriptor.roster[index].name,
                index=index,
                cells=descriptor.cells,
            )
            for index, content in sealed.items()
        }

    parties, threshold = descriptor.parties, descriptor.threshold
    if compares(descriptor.program):
        return open_passing(each(unseal_passing), parties=parties, threshold=threshold)
    return open_result(each(unseal_share), parties=parties, threshold=threshold)
