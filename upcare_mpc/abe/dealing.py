"""One dealer's part in a ceremony: two polynomials, committed to, and a sub-share for each member.

Feldman's verifiable secret sharing (FOCS 1987) over the exponents of g2. The dealer's polynomial f
of degree t has the *constant* f(0) that the dealer adds to the master secret, or its share of it
when an older committee hands over; h of the same degree has h(0) = 0 (``committee`` says what the
two sum to). Published are g2 to the coefficients, and Schnorr's proof that the dealer knows f(0),
made for this ceremony, dealer and commitments (as in FROST, Komlo and Goldberg, SAC 2020): a
dealing cannot be made from those of others, nor handed on under another name.

    possession   challenge c = SHA-512(statement) mod ORDER over ceremony, dealer, commitments and
                 g2^k;  response k + c f(0);  checked by g2^k = g2^response commitment_0^-c

A member at place j checks its sub-share f(j), h(j) against the commitments. At most t members
learn nothing of f(0) from commitments and sub-shares together beyond g2^f(0): all they see can be
computed from that and t numbers of their own choice (``tests/abe/test_threshold_simulated.py``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha512
from itertools import pairwise
from typing import Final

from upcare_mpc.abe.committee import in_exponent, split_points
from upcare_mpc.abe.groups import G2, G2_BYTES, ORDER, Group
from upcare_mpc.abe.statements import SCALAR_BYTES, scalar_bytes, scalar_from_bytes, statement
from upcare_mpc.errors import ProtocolError

__all__ = ["SUB_SHARE_BYTES", "Dealing", "SubShare", "deal"]

_DEALING = b"UAD1"
_SUB_SHARE = b"UAS1"
SUB_SHARE_BYTES: Final = len(_SUB_SHARE) + 2 * SCALAR_BYTES


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dealing:
    """What a dealer publishes.

    Bytes: ``UAD1`` | t + 1 points of ``commitments`` | t points of ``bindings`` | c | response.

    Attributes:
        commitments: g2 to the coefficients of f, that of the constant first.
        bindings: g2 to the coefficients 1 to t of h.
        challenge: c of the proof.
        response: k + c f(0).
    """

    commitments: tuple[G2, ...]
    bindings: tuple[G2, ...]
    challenge: int
    response: int

    def __bytes__(self) -> bytes:
        points = b"".join(map(bytes, (*self.commitments, *self.bindings)))
        return _DEALING + points + scalar_bytes(self.challenge) + scalar_bytes(self.response)

    @classmethod
    def from_bytes(
        cls, group: Group, encoded: bytes, *, threshold: int, ceremony: bytes, dealer: str
    ) -> "Dealing":
        """Decode a dealing of degree ``threshold``, and check its proof.

        Args:
            group: Where its points live.
            encoded: From anybody.
            threshold: t.
            ceremony: Digest of the ceremony.
            dealer: Who is said to have made it.

        Raises:
            ProtocolError: It is not one that this dealer made for this ceremony; one text whatever
                is wrong.

        Cost: a check of 2 t + 1 points, two multiplications in G2.
        """
        try:
            if not encoded.startswith(_DEALING):
                raise ProtocolError("not a dealing of version 1")
            cuts = [len(_DEALING)]
            for length in (
                (threshold + 1) * G2_BYTES,
                threshold * G2_BYTES,
                SCALAR_BYTES,
                SCALAR_BYTES,
            ):
                cuts.append(cuts[-1] + length)
            if len(encoded) != cuts[-1]:
                raise ProtocolError(f"a dealing has {cuts[-1]} bytes")
            commitments, bindings, challenge, response = (
                encoded[start:end] for start, end in pairwise(cuts)
            )
            dealing = cls(
                commitments=split_points(group, commitments, threshold + 1),
                bindings=split_points(group, bindings, threshold),
                challenge=scalar_from_bytes(challenge),
                response=scalar_from_bytes(response),
            )
            public = group.g2, dealing.commitments[0]
            nonce = group.combine(public, [dealing.response, -dealing.challenge])
            if dealing.challenge != _challenge(ceremony, dealer, dealing.commitments, nonce):
                raise ProtocolError("the constant is not proved")
        except ProtocolError:
            raise ProtocolError(
                "these are not the bytes of a dealing for this ceremony, version 1"
            ) from None
        return dealing

    def fits(self, group: Group, place: int, sub_share: "SubShare") -> bool:
        """Say whether a sub-share is that of a member's place.

        Cost: two multiplications in G2 and 2 t + 1 short ones.
        """
        return (
            group.g2 * sub_share.master == in_exponent(group, self.commitments, place, first=0)
        ) and group.g2 * sub_share.binding == in_exponent(group, self.bindings, place, first=1)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SubShare:
    """What a dealer tells one member. Secret of the two.

    Bytes: ``UAS1`` | master | binding. Ceremony, dealer and member are in what the dealer signs.

    Attributes:
        master: f(j) for the member's place j.
        binding: h(j).
    """

    master: int
    binding: int

    def __bytes__(self) -> bytes:
        return _SUB_SHARE + scalar_bytes(self.master) + scalar_bytes(self.binding)

    def __repr__(self) -> str:
        return "<SubShare>"

    @classmethod
    def from_bytes(cls, encoded: bytes) -> "SubShare":
        """Decode 68 bytes.

        Raises:
            ProtocolError: They are anything but a sub-share in version 1.
        """
        middle = len(_SUB_SHARE) + SCALAR_BYTES
        if not encoded.startswith(_SUB_SHARE):
            raise ProtocolError("these are not the bytes of a sub-share, version 1")
        return cls(
            master=scalar_from_bytes(encoded[len(_SUB_SHARE) : middle]),
            binding=scalar_from_bytes(encoded[middle:]),
        )


def deal(
    group: Group,
    *,
    ceremony: bytes,
    dealer: str,
    members: int,
    threshold: int,
    constant: int | None,
    coin: Callable[[], int],
) -> tuple[Dealing, tuple[SubShare, ...]]:
    """Deal once.

    Args:
        group: Where to compute.
        ceremony: Digest of the ceremony.
        dealer: Who deals.
        members: m of the committee to be.
        threshold: t.
        constant: f(0); None for a fresh one. Secret.
        coin: Draws uniform scalars from 1 to ``ORDER - 1``: the constant unless it is given,
            coefficients 1 to t of f, those of h, and k. Secret.

    Returns:
        The dealing, public; and the sub-shares for the places 1 to m, secret.

    Cost: 2 t + 2 multiplications in G2.
    """
    if constant is None:
        constant = coin()
    master = [constant, *(coin() for _ in range(threshold))]
    binding = [0, *(coin() for _ in range(threshold))]
    commitments = tuple(group.g2 * coefficient for coefficient in master)
    k = coin()
    challenge = _challenge(ceremony, dealer, commitments, group.g2 * k)
    dealing = Dealing(
        commitments=commitments,
        bindings=tuple(group.g2 * coefficient for coefficient in binding[1:]),
        challenge=challenge,
        response=(k + challenge * constant) % ORDER,
    )
    at = _evaluator(master), _evaluator(binding)
    places = range(1, members + 1)
    return dealing, tuple(SubShare(master=at[0](j), binding=at[1](j)) for j in places)


def _challenge(ceremony: bytes, dealer: str, commitments: tuple[G2, ...], nonce: G2) -> int:
    points = b"".join(map(bytes, commitments))
    proved = statement("possession", ceremony, dealer.encode(), points, bytes(nonce))
    return int.from_bytes(sha512(proved).digest()) % ORDER


def _evaluator(polynomial: list[int]) -> Callable[[int], int]:
    def at(place: int) -> int:
        value = 0
        for coefficient in reversed(polynomial):
            value = (value * place + coefficient) % ORDER
        return value

    return at
