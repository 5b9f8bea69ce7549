"""Keys of the scheme, and their bytes.

Encodings, version 1; every other byte string is refused, so a key has one encoding:
    public key:    ``UAP1`` | g2^alpha
    attribute key: ``UAK1`` | n | sk1 | sk3 | n times: length of u | u | sk2_u
                   n and the length are one byte; attributes u ascend, none twice.

An attribute key is a secret of its holder. Python cannot wipe it from memory.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from upcare_mpc.abe.groups import G1, G1_BYTES, G2, G2_BYTES, GT, Group, PowerTable
from upcare_mpc.abe.policy import check_attribute
from upcare_mpc.errors import InputError, ProtocolError

__all__ = [
    "MAX_ATTRIBUTES",
    "AttributeKey",
    "PublicKey",
    "Tables",
    "attribute_point",
    "check_attributes",
    "common_point",
    "request_point",
]

MAX_ATTRIBUTES: Final = 128

_SUITE = b"-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"
_ATTRIBUTE_TAG = b"UPCARE-V01-ABE-attribute" + _SUITE
_COMMON_TAG = b"UPCARE-V01-ABE-common" + _SUITE
_REQUEST_TAG = b"UPCARE-V01-ABE-request" + _SUITE
_PUBLIC = b"UAP1"
_KEY = b"UAK1"


def common_point(group: Group) -> G1:
    """H(*): the base that all rows and all keys share."""
    return group.hash_to_g1(b"", tag=_COMMON_TAG)


def attribute_point(group: Group, attribute: str) -> G1:
    """H(u) of an attribute u, under a tag of its own: no attribute collides with H(*)."""
    return group.hash_to_g1(attribute.encode(), tag=_ATTRIBUTE_TAG)


def request_point(group: Group, request: bytes) -> G1:
    """H(q) of the digest q of a request for a key: what ties its fragments together."""
    return group.hash_to_g1(request, tag=_REQUEST_TAG)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tables:
    """Tables of the bases that sealing raises to powers."""

    g2: PowerTable[G2]
    common: PowerTable[G1]
    attributes: Mapping[str, PowerTable[G1]]
    blind: PowerTable[GT]


@dataclass(frozen=True, slots=True, eq=False)
class PublicKey:
    """What anybody needs to seal: g2^alpha. Nobody knows alpha.

    Attributes:
        group: Where its points live.
        element: g2^alpha. It is e(g1, g2)^alpha that FABEO publishes; this gives it, by one
            pairing, and is a point, which every library can read and check.
        tables: What ``prepare`` makes.
    """

    group: Group
    element: G2
    tables: Tables | None = None

    def __bytes__(self) -> bytes:
        return _PUBLIC + bytes(self.element)

    @classmethod
    def from_bytes(cls, group: Group, encoded: bytes) -> "PublicKey":
        """Decode 100 bytes.

        Raises:
            ProtocolError: They are anything but a public key in version 1.
        """
        if len(encoded) != len(_PUBLIC) + G2_BYTES or not encoded.startswith(_PUBLIC):
            raise ProtocolError("these are not the bytes of a public ABE key, version 1")
        return cls(group, group.g2_from_bytes(encoded[len(_PUBLIC) :]))

    def prepare(self, attributes: Iterable[str]) -> "PublicKey":
        """Return this key with tables, for sealing much under the same attributes.

        Cost: for each attribute as much as 40 rows sealed without tables, and 0.6 MB.
        """
        group = self.group
        points = {attribute: attribute_point(group, attribute) for attribute in attributes}
        tables = Tables(
            g2=PowerTable(group.g2),
            common=PowerTable(common_point(group)),
            attributes={attribute: PowerTable(point) for attribute, point in points.items()},
            blind=PowerTable(group.pair((group.g1, self.element))),
        )
        return PublicKey(group, self.element, tables)

    def power(self, k: int) -> G2:
        """Return g2^k. Secret: k."""
        return self.tables.g2.power(k) if self.tables else self.group.g2 * k

    def row(self, attribute: str, share: int, prime: int) -> G1:
        """Return H(*)^share H(attribute)^prime. Secret: both scalars."""
        if self.tables and share and (mine := self.tables.attributes.get(attribute)):
            return self.tables.common.power(share) + mine.power(prime)
        points = [common_point(self.group), attribute_point(self.group, attribute)]
        return self.group.combine(points, [share, prime])

    def blind(self, s: int) -> GT:
        """Return e(g1, g2)^(alpha s). Secret: s, and the result."""
        if self.tables:
            return self.tables.blind.power(s)
        return self.group.pair((self.group.g1 * s, self.element))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class AttributeKey:
    """A key that opens what its attributes satisfy; also a fragment of one, before combination.

    Attributes:
        attributes: Ascending. Public.
        sk1: g1^alpha H(*)^r.
        sk2: H(u)^r for each attribute u.
        sk3: g2^r. A second key with the same one betrays that r was used twice.
    """

    attributes: tuple[str, ...]
    sk1: G1
    sk2: tuple[G1, ...]
    sk3: G2

    def __bytes__(self) -> bytes:
        parts = [_KEY, bytes([len(self.attributes)]), bytes(self.sk1), bytes(self.sk3)]
        for attribute, point in zip(self.attributes, self.sk2, strict=True):
            parts += [bytes([len(attribute)]), attribute.encode(), bytes(point)]
        return b"".join(parts)

    def __repr__(self) -> str:
        return f"AttributeKey(attributes={self.attributes})"

    @classmethod
    def from_bytes(cls, group: Group, encoded: bytes) -> "AttributeKey":
        """Decode a key; it costs one check of a point for each attribute, and two more.

        Raises:
            ProtocolError: The bytes are anything but an attribute key in version 1.
        """
        refusal = ProtocolError("these are not the bytes of an ABE attribute key, version 1")
        start = len(_KEY) + 1
        at = start + G1_BYTES + G2_BYTES
        if len(encoded) < at or not encoded.startswith(_KEY):
            raise refusal
        names, points = [], []
        for _ in range(encoded[len(_KEY)]):
            name_end = at + 1 + encoded[at] if at < len(encoded) else len(encoded)
            names.append(encoded[at + 1 : name_end])
            at = name_end + G1_BYTES
            points.append(encoded[name_end:at])
        try:
            attributes = tuple(name.decode("ascii") for name in names)
            canonical = check_attributes(attributes)
        except (UnicodeDecodeError, InputError):
            raise refusal from None
        if len(encoded) != at or attributes != canonical:
            raise refusal
        return cls(
            attributes=attributes,
            sk1=group.g1_from_bytes(encoded[start : start + G1_BYTES]),
            sk2=tuple(group.g1_from_bytes(point) for point in points),
            sk3=group.g2_from_bytes(encoded[start + G1_BYTES : start + G1_BYTES + G2_BYTES]),
        )


def check_attributes(attributes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the attributes of a key in order.

    Raises:
        InputError: There are none, or more than ``MAX_ATTRIBUTES``, one twice, or one is not an
            attribute.
    """
    if not 1 <= len(attributes) <= MAX_ATTRIBUTES:
        raise InputError(f"a key has 1 to {MAX_ATTRIBUTES} attributes, got {len(attributes)}")
    ordered = tuple(sorted(map(check_attribute, attributes)))
    if len(set(ordered)) < len(ordered):
        raise InputError("an attribute stands twice in one key")
    return ordered
