"""How the objects of a vault are written: fields with their lengths, and names by content.

Integers are big-endian. A *measured* field is preceded by its length in 4 bytes. Every object
begins with four letters: kind and version.

    name = SHA-256("upcare/vault/v1/<kind>|" | number of bytes (8) | bytes)

All that is read here comes from a stranger: lengths are checked before anything else.
"""

from collections.abc import Callable, Iterable
from datetime import date
from hashlib import sha256
from typing import Final

from upcare_mpc.errors import InputError, ProtocolError
from upcare_mpc.vault.policies import check_epoch, check_registry

__all__ = ["NAME_BYTES", "VERSION_BYTES", "Reader", "behind", "digest_of", "measured", "name_of"]

VERSION_BYTES: Final = 4
NAME_BYTES: Final = 32


def name_of(kind: str, content: bytes) -> str:
    """Name an object: 64 hexadecimal digits. ``kind`` is block, sheet, shelf or group."""
    label = f"upcare/vault/v1/{kind}|".encode() + len(content).to_bytes(8)
    hashed = sha256(label)
    hashed.update(content)
    return hashed.hexdigest()


def measured(field: bytes) -> bytes:
    """Write a field with its length."""
    return len(field).to_bytes(4) + field


def digest_of(fields: Iterable[bytes]) -> bytes:
    """SHA-256 of measured fields."""
    return sha256(b"".join(map(measured, fields))).digest()


def behind(content: bytes, version: bytes) -> memoryview:
    """Return what stands behind the four letters.

    Raises:
        ProtocolError: They are others.
    """
    if not content.startswith(version):
        raise ProtocolError("an object of the vault has another kind or version")
    return memoryview(content)[VERSION_BYTES:]


class Reader:
    """Takes fields from the front; every shortfall is an error.

    Raises:
        ProtocolError: From every method: the bytes are not what is asked for.
    """

    def __init__(self, content: bytes, version: bytes) -> None:
        self._rest = behind(content, version)

    def take(self, count: int) -> bytes:
        """Take bytes."""
        if count > len(self._rest):
            raise ProtocolError("an object of the vault ends too soon")
        taken, self._rest = bytes(self._rest[:count]), self._rest[count:]
        return taken

    def number(self, width: int) -> int:
        """Take an integer of some bytes."""
        return int.from_bytes(self.take(width))

    def measured(self, at_most: int) -> bytes:
        """Take a measured field."""
        length = self.number(4)
        if length > at_most:
            raise ProtocolError("a field of an object of the vault is too long")
        return self.take(length)

    def text(self, at_most: int) -> str:
        """Take a measured field of ASCII."""
        try:
            return self.measured(at_most).decode("ascii")
        except UnicodeDecodeError:
            raise ProtocolError("a text of the vault is not ASCII") from None

    def name(self) -> str:
        """Take the name of an object."""
        return self.take(NAME_BYTES).hex()

    def registry(self) -> str:
        """Take a measured name of a registry."""
        return self._checked(self.text(32), check_registry)

    def epoch(self) -> str:
        """Take a measured month."""
        return self._checked(self.text(7), check_epoch)

    def day(self) -> date:
        """Take a measured day, written like ``2026-11-23``."""
        text = self.text(10)
        self._checked(text[:7], check_epoch)
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise ProtocolError("there is no such day") from None
        if day.isoformat() != text:
            raise ProtocolError("a day is written like 2026-11-23")
        return day

    def finish(self) -> None:
        """Check that nothing is left."""
        if self._rest:
            raise ProtocolError("an object of the vault has bytes behind its end")

    @staticmethod
    def _checked(text: str, check: Callable[[str], str]) -> str:
        try:
            return check(text)
        except InputError as bad:
            raise ProtocolError(str(bad)) from None
