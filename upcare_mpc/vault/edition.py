"""Groups, and the edition that a registry signs.

    group    "UVG1" | registry | epoch | sequence (8) | policy | header | rows (4) | shelf (32)
                    | name (32) of each sheet
    edition  "UVE1" | registry | day | sequence (8) | shelf (32)
                    | number of groups (2) | for each: policy | rows (4) | name (32)
    head     "UVH1" | edition | signature

Registry, epoch, policy, header, day, edition and signature are measured (``encoding``). Day is like
``2026-11-23``, and the epoch of all its groups is the month, ``2026-11``. The groups of an edition
ascend by policy, none twice.

The names form a Merkle tree with the kinds of nodes kept apart and their sizes bound: a group names
its sheets and the shelf, the shelf names all blocks, the edition names all groups. The name of a
group is its *root*: it fixes registry, month, sequence number, policy, header, and every byte that
a reader of the group gets. The registry signs all roots at once:

    signed = "upcare/vault/v1/edition|" | edition

The head alone has a fixed name, ``head``. All of this is public.
"""

from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Final

from upcare_mpc.abe.kem import MAX_HEADER_BYTES
from upcare_mpc.abe.policy import MAX_CHARACTERS
from upcare_mpc.errors import InputError, ProtocolError
from upcare_mpc.vault.encoding import NAME_BYTES, Reader, digest_of, measured
from upcare_mpc.vault.objects import MAX_ROWS, SHEET_ROWS

__all__ = [
    "HEAD",
    "MAX_GROUPS",
    "MAX_GROUP_BYTES",
    "MAX_HEAD_BYTES",
    "MAX_SIGNATURE",
    "Edition",
    "Group",
    "Place",
    "Root",
    "epoch_of",
    "head_bytes",
    "open_head",
    "signed_bytes",
]

HEAD: Final = "head"
MAX_GROUPS: Final = 4096
MAX_GROUP_BYTES: Final = (
    256 + MAX_CHARACTERS + MAX_HEADER_BYTES + MAX_ROWS // SHEET_ROWS * NAME_BYTES
)
MAX_HEAD_BYTES: Final = 2**22
MAX_SIGNATURE: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a wrapping key and its rows belong. Public.

    Attributes:
        registry: Whose records they are.
        epoch: The month, ``2026-11``.
        sequence: Number of the edition, from 1 on; it never goes back.
        policy: Canonical text.
    """

    registry: str
    epoch: str
    sequence: int
    policy: str

    @property
    def context(self) -> bytes:
        """What ``abe.kem`` binds the header to; it binds the policy by itself."""
        fields = (self.registry.encode(), self.epoch.encode(), self.sequence.to_bytes(8))
        return b"upcare/vault/v1/group|" + digest_of(fields)

    def digest(self, header: bytes) -> bytes:
        """What each row is bound to: this place and the header."""
        return digest_of(
            (
                self.registry.encode(),
                self.epoch.encode(),
                self.sequence.to_bytes(8),
                self.policy.encode(),
                sha256(header).digest(),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group object.

    Attributes:
        place: Where it belongs.
        header: Of ``abe.kem``: who satisfies the policy gets the wrapping key from it.
        rows: How many, empty ones included.
        shelf: Name of the shelf that its slots refer to.
        sheets: Names, in order.
    """

    place: Place
    header: bytes
    rows: int
    shelf: str
    sheets: tuple[str, ...]

    def __bytes__(self) -> bytes:
        place = self.place
        return b"".join(
            [
                b"UVG1",
                measured(place.registry.encode()),
                measured(place.epoch.encode()),
                place.sequence.to_bytes(8),
                measured(place.policy.encode()),
                measured(self.header),
                self.rows.to_bytes(4),
                bytes.fromhex(self.shelf),
                *map(bytes.fromhex, self.sheets),
            ]
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> "Group":
        """Decode a group.

        Raises:
            ProtocolError: It is none, or breaks a limit.
        """
        if len(content) > MAX_GROUP_BYTES:
            raise ProtocolError("a group is too long")
        reader = Reader(content, b"UVG1")
        registry, epoch, sequence = reader.registry(), reader.epoch(), reader.number(8)
        policy = reader.text(MAX_CHARACTERS)
        header = reader.measured(MAX_HEADER_BYTES)
        rows = reader.number(4)
        shelf = reader.name()
        if not 1 <= rows <= MAX_ROWS:
            raise ProtocolError("a group has at least one row, and not too many")
        sheets = tuple(reader.name() for _ in range(-(-rows // SHEET_ROWS)))
        reader.finish()
        place = Place(registry=registry, epoch=epoch, sequence=sequence, policy=policy)
        return cls(place=place, header=header, rows=rows, shelf=shelf, sheets=sheets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A group as a signed edition names it.

    Attributes:
        place: Where it belongs.
        rows: How many, empty ones included.
        name: Of the group object; it fixes everything below.
    """

    place: Place
    rows: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """What a registry publishes on one day. Public.

    Attributes:
        registry: Who publishes.
        day: When. Its month is the epoch that all policies name.
        sequence: 1, 2, 3, ...
        shelf: Name of the list of its blocks.
        groups: By policy, ascending.
    """

    registry: str
    day: date
    sequence: int
    shelf: str
    groups: tuple[Root, ...]

    def __bytes__(self) -> bytes:
        parts = [
            b"UVE1",
            measured(self.registry.encode()),
            measured(self.day.isoformat().encode()),
            self.sequence.to_bytes(8),
            bytes.fromhex(self.shelf),
            len(self.groups).to_bytes(2),
        ]
        for root in self.groups:
            policy = measured(root.place.policy.encode())
            parts += [policy, root.rows.to_bytes(4), bytes.fromhex(root.name)]
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Edition":
        """Decode an edition.

        Raises:
            ProtocolError: It is none, or breaks a limit.
        """
        reader = Reader(content, b"UVE1")
        registry, day, sequence = reader.registry(), reader.day(), reader.number(8)
        shelf = reader.name()
        groups: list[Root] = []
        for _ in range(reader.number(2)):
            place = Place(
                registry=registry,
                epoch=epoch_of(day),
                sequence=sequence,
                policy=reader.text(MAX_CHARACTERS),
            )
            if groups and groups[-1].place.policy >= place.policy:
                raise ProtocolError("the groups of an edition ascend by policy")
            groups.append(Root(place=place, rows=reader.number(4), name=reader.name()))
        reader.finish()
        if len(groups) > MAX_GROUPS:
            raise ProtocolError("an edition has too many groups")
        return cls(registry=registry, day=day, sequence=sequence, shelf=shelf, groups=tuple(groups))


def epoch_of(day: date) -> str:
    """The month of a day, ``2026-11``."""
    return day.isoformat()[:7]


def signed_bytes(edition: bytes) -> bytes:
    """What the registry signs."""
    return b"upcare/vault/v1/edition|" + edition


def head_bytes(edition: Edition, signature: bytes) -> bytes:
    """Put a signed edition into a head.

    Raises:
        InputError: It is too long: too many groups, or too long policies.
    """
    content = b"UVH1" + measured(bytes(edition)) + measured(signature)
    if len(content) > MAX_HEAD_BYTES or len(edition.groups) > MAX_GROUPS:
        raise InputError(
            f"a vault has at most {MAX_GROUPS} policies, in {MAX_HEAD_BYTES} bytes; "
            f"these are {len(edition.groups)} in {len(content)}"
        )
    return content


def open_head(content: bytes) -> tuple[bytes, bytes]:
    """Return the bytes of the edition, and its signature, not checked.

    Raises:
        ProtocolError: It is no head.
    """
    if len(content) > MAX_HEAD_BYTES:
        raise ProtocolError("a head is too long")
    reader = Reader(content, b"UVH1")
    edition, signature = reader.measured(MAX_HEAD_BYTES), reader.measured(MAX_SIGNATURE)
    reader.finish()
    return edition, signature
