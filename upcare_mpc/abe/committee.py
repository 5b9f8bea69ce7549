"""A committee of registries that issue keys, and the share of one of them.

The master secret alpha is the value at 0 of a polynomial a of degree t that nobody knows; the
member at place j = 1, 2, ..., m holds a(j). A second polynomial b, of the same degree and with
b(0) = 0, ties the fragments of one request together (``issuance``); the member holds b(j). Public
are their coefficients in the exponent of g2, and with them each member's *verification keys*
A_j = g2^a(j) and B_j = g2^b(j), and the network's public key g2^a(0).

Any t + 1 members hold the master secret and can open everything. Any t hold nothing of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final

from upcare_mpc.abe.groups import G2, G2_BYTES, Group
from upcare_mpc.abe.keys import PublicKey
from upcare_mpc.abe.policy import check_attribute
from upcare_mpc.abe.statements import scalar_bytes, scalar_from_bytes, statement
from upcare_mpc.errors import InputError, ProtocolError
from upcare_mpc.study.packed import pack, unpack

__all__ = [
    "MAX_COMMITTEE_BYTES",
    "MAX_MEMBERS",
    "Committee",
    "Share",
    "check_members",
    "in_exponent",
    "split_points",
]

MAX_MEMBERS: Final = 15
MAX_COMMITTEE_BYTES: Final = 4096
_COMMITTEE = b"UAC1"
_SHARE = b"UAZ1"
_DIGEST_BYTES = 32
_SEED_BYTES = 32
_GENERATION_BYTES = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Committee:
    """Everything public about a committee. m members, threshold t.

    Bytes: ``UAC1`` and the fields network, generation (8 bytes), threshold (1), ceremony, points
    of ``commitments``, points of ``bindings``, then the members' names.

    Attributes:
        group: Where its points live.
        network: Name of the network.
        generation: 1 for the committee that made the key, one more for each that followed.
        members: Ascending; the place of the first is 1.
        threshold: t, with 1 <= t and 2 t + 1 <= m.
        ceremony: Digest of the ceremony that it came from.
        commitments: g2 to the t + 1 coefficients of a; the first is the public key.
        bindings: g2 to the coefficients 1 to t of b.
    """

    group: Group
    network: str
    generation: int
    members: tuple[str, ...]
    threshold: int
    ceremony: bytes
    commitments: tuple[G2, ...]
    bindings: tuple[G2, ...]

    def __bytes__(self) -> bytes:
        return pack(
            _COMMITTEE,
            self.network.encode(),
            self.generation.to_bytes(_GENERATION_BYTES),
            bytes([self.threshold]),
            self.ceremony,
            b"".join(map(bytes, self.commitments)),
            b"".join(map(bytes, self.bindings)),
            *(name.encode() for name in self.members),
        )

    @classmethod
    def from_bytes(cls, group: Group, encoded: bytes) -> "Committee":
        """Decode a committee. Who answers for it is another matter: its members' confirmations.

        Raises:
            ProtocolError: The bytes are anything but a committee in version 1.
        """
        try:
            fields = unpack(_COMMITTEE, encoded, most=MAX_COMMITTEE_BYTES)
            network, generation, threshold, ceremony, commitments, bindings, *names = fields
            members = tuple(name.decode("ascii") for name in names)
            (degree,) = threshold
            check_members(network.decode("ascii"), members, degree)
            committee = cls(
                group=group,
                network=network.decode("ascii"),
                generation=int.from_bytes(generation),
                members=members,
                threshold=degree,
                ceremony=ceremony,
                commitments=split_points(group, commitments, degree + 1),
                bindings=split_points(group, bindings, degree),
            )
            if (
                len(ceremony) != _DIGEST_BYTES
                or len(generation) != _GENERATION_BYTES
                or committee.generation < 1
            ):
                raise ProtocolError("a field has the wrong length")
        except (ProtocolError, InputError, ValueError):
            raise ProtocolError("these are not the bytes of a committee, version 1") from None
        return committee

    @cached_property
    def digest(self) -> bytes:
        """Name this committee; 32 bytes."""
        return sha256(statement("committee", bytes(self))).digest()

    @property
    def public(self) -> PublicKey:
        """The network's public key; the same for all its committees."""
        return PublicKey(self.group, self.commitments[0])

    def place(self, name: str) -> int:
        """Return the place of a member.

        Raises:
            ProtocolError: Nobody of that name is a member.
        """
        if name not in self.members:
            raise ProtocolError(f"{name[:80]!a} is not a member of the committee")
        return 1 + self.members.index(name)

    def verification_keys(self, name: str) -> tuple[G2, G2]:
        """Return A_j and B_j of a member.

        Raises:
            ProtocolError: Nobody of that name is a member.
        """
        return self._verification_keys[self.place(name) - 1]

    @cached_property
    def _verification_keys(self) -> tuple[tuple[G2, G2], ...]:
        return tuple(
            (
                in_exponent(self.group, self.commitments, place, first=0),
                in_exponent(self.group, self.bindings, place, first=1),
            )
            for place in range(1, len(self.members) + 1)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Share:
    """What one member alone holds. Secret: all but ``committee`` and ``member``.

    Bytes: ``UAZ1`` and the fields in this order.

    Attributes:
        committee: Digest of the committee.
        member: Whose it is.
        master: a(j), a share of the master secret.
        binding: b(j).
        seed: 32 bytes, from which the randomness of fragments is derived.
    """

    committee: bytes
    member: str
    master: int
    binding: int
    seed: bytes

    def __bytes__(self) -> bytes:
        scalars = scalar_bytes(self.master), scalar_bytes(self.binding)
        return pack(_SHARE, self.committee, self.member.encode(), *scalars, self.seed)

    def __repr__(self) -> str:
        return f"Share(member={self.member!r})"

    @classmethod
    def from_bytes(cls, committee: Committee, encoded: bytes) -> "Share":
        """Decode one's own share, and check it against the verification keys.

        Raises:
            ProtocolError: It is not a share of a member of this committee; one text whatever is
                wrong.
        """
        try:
            digest, member, master, binding, seed = unpack(_SHARE, encoded, most=512)
            share = cls(
                committee=digest,
                member=member.decode("ascii"),
                master=scalar_from_bytes(master),
                binding=scalar_from_bytes(binding),
                seed=seed,
            )
            if len(seed) != _SEED_BYTES:
                raise ProtocolError("a seed has 32 bytes")
            share.check(committee)
        except (ProtocolError, ValueError):
            raise ProtocolError("the share does not open") from None
        return share

    def check(self, committee: Committee) -> None:
        """Check that this is a member's share of this committee.

        Raises:
            ProtocolError: It is not.

        Cost: two multiplications in G2.
        """
        mine = committee.group.g2 * self.master, committee.group.g2 * self.binding
        if self.committee != committee.digest or mine != committee.verification_keys(self.member):
            raise ProtocolError(f"the share of {self.member} is not one of this committee")


def check_members(network: str, members: tuple[str, ...], threshold: int) -> None:
    """Check names and numbers of a committee.

    Raises:
        InputError: A name could not be the value of an attribute, names do not ascend, there are
            too many, or fewer than 2 t + 1.
    """
    for name in (network, *members):
        try:
            check_attribute(f"site:{name}")
        except InputError:
            raise InputError(
                f"a name is lower-case ASCII letters, digits and .+-, got {name[:80]!a}"
            ) from None
    if list(members) != sorted(set(members)):
        raise InputError("members of a committee are named in ascending order, each once")
    if not (threshold >= 1 and 2 * threshold < len(members) <= MAX_MEMBERS):
        raise InputError(
            f"a committee of threshold t >= 1 has 2 t + 1 to {MAX_MEMBERS} members, got t = "
            f"{threshold} and {len(members)}"
        )


def in_exponent(group: Group, points: Sequence[G2], place: int, *, first: int) -> G2:
    """Evaluate a polynomial in the exponent: the sum of ``place**k * point`` for k from ``first``.

    Cost: a short multiplication in G2 for each point.
    """
    return group.combine(points, [place**k for k in range(first, first + len(points))])


def split_points(group: Group, encoded: bytes, count: int) -> tuple[G2, ...]:
    """Decode so many points of G2.

    Raises:
        ProtocolError: The bytes are anything else, or one is the identity.
    """
    if len(encoded) != count * G2_BYTES:
        raise ProtocolError(f"{count} points of G2 were expected")
    cuts = range(0, len(encoded), G2_BYTES)
    return tuple(group.g2_from_bytes(encoded[at : at + G2_BYTES]) for at in cuts)
