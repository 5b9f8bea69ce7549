"""What deposits of a collection are encrypted to, signed by every holder.

With envelope ``rlwe`` the holders deal an RLWE key among themselves and each signs the public part
that came out. With either envelope each holder has an X25519 key of its own, made for this
collection and erased with it; shares of a ``sealed`` deposit are sealed to these.

    key = "UDK1" | collection (32) | holder | public | X25519 key (32) | signature   (study.packed)

Adversary: the platform and the network hand out whatever they like. A contributor takes a key only
if ALL holders have signed the same one, so nobody can put a key of his own in its place.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from upcare_mpc.deposits import statement
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.errors import ProtocolError
from upcare_mpc.he.scheme import PublicKey
from upcare_mpc.study.packed import pack, unpack

__all__ = ["MAX_KEY_BYTES", "CollectionKey", "HolderKey", "Verify", "agreed_key", "seed_of"]

MAX_KEY_BYTES: Final = 1 << 18
_VERSION: Final = b"UDK1"

Verify: TypeAlias = Callable[[str, bytes, bytes], None]
"""Called with a holder's name, a statement and a signature; raises ``ProtocolError`` unless the
holder of that name has signed this statement with the certificate that the collection names."""


def seed_of(collection: Collection) -> bytes:
    """The seed of the public random polynomial of a collection's RLWE key, 32 bytes."""
    return hashlib.sha256(statement("seed", collection.digest)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderKey:
    """What one holder states about the key.

    Attributes:
        collection: Digest.
        holder: Its name.
        public: Encoded RLWE public key; empty with envelope ``sealed``.
        sealing: Its own X25519 public key, 32 bytes.
        signature: By its certificate's key.
    """

    collection: bytes
    holder: str
    public: bytes
    sealing: bytes
    signature: bytes = b""

    def statement(self) -> bytes:
        """The bytes that it signs."""
        public = hashlib.sha256(self.public).digest()
        return statement("key", self.collection, self.holder.encode(), public, self.sealing)

    def signed(self, sign: Callable[[bytes], bytes]) -> "HolderKey":
        """Sign it."""
        return replace(self, signature=sign(self.statement()))

    def to_bytes(self) -> bytes:
        """Encode."""
        holder = self.holder.encode()
        return pack(_VERSION, self.collection, holder, self.public, self.sealing, self.signature)

    @classmethod
    def from_bytes(cls, encoded: bytes) -> "HolderKey":
        """Decode what anybody sent; the signature is not checked here.

        Raises:
            ProtocolError: These are not the bytes of a holder's key.
        """
        fields = unpack(_VERSION, encoded, most=MAX_KEY_BYTES)
        if len(fields) != 5 or len(fields[0]) != 32 or len(fields[3]) != 32:
            raise ProtocolError("these are not the bytes of a holder's key")
        collection, holder, public, sealing, signature = fields
        return cls(
            collection=collection,
            holder=holder.decode("ascii", "replace"),
            public=public,
            sealing=sealing,
            signature=signature,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionKey:
    """A key that all holders have signed.

    Attributes:
        public: The RLWE key; None with envelope ``sealed``.
        sealing: X25519 public key of each holder, in their order.
    """

    public: PublicKey | None
    sealing: tuple[bytes, ...]


def agreed_key(collection: Collection, keys: Sequence[HolderKey], verify: Verify) -> CollectionKey:
    """Return the key if every holder has signed it.

    Raises:
        ProtocolError: A holder is missing, has signed another key, or has not signed; or the RLWE
            key is not of this collection.
    """
    by_name = {key.holder: key for key in keys}
    found = [by_name.get(name) for name in collection.names]
    signed = [key for key in found if key is not None and key.collection == collection.digest]
    if len(signed) != collection.parties:
        raise ProtocolError("not every holder of this collection has signed its key")
    for key in signed:
        verify(key.holder, key.statement(), key.signature)
    if len({key.public for key in signed}) != 1:
        raise ProtocolError("the holders of this collection have signed different keys")
    encoded = signed[0].public
    sealing = tuple(key.sealing for key in signed)
    if collection.envelope == "sealed":
        if encoded:
            raise ProtocolError("a collection of sealed shares has no joint key")
        return CollectionKey(public=None, sealing=sealing)
    public = PublicKey.from_bytes(encoded)
    if public.seed != seed_of(collection):
        raise ProtocolError("the joint key is of another collection")
    return CollectionKey(public=public, sealing=sealing)
