"""A patient's key and her ticket, in files.

my.key    PKCS #8, PEM, for her alone: P-256, made for one collection
my.pub    the public point, 65 bytes in hexadecimal on one line: for her registry
ticket    JSON: the registry's ticket, base64, and its certificate, PEM
"""

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from upcare_mpc.deposits.submission import POINT_BYTES, Ticket
from upcare_mpc.errors import InputError, ProtocolError

__all__ = ["new_key", "point_of", "read_key", "read_point", "read_ticket", "write_ticket"]

_MAX_BYTES = 16 << 10


def new_key(path: Path) -> bytes:
    """Make a patient's key, write it to a new file for her alone, and return the public point.

    Raises:
        InputError: There is a file already, or it cannot be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(pem)
    except FileExistsError:
        raise InputError(f"{path.name}: there is a key already; it is not overwritten") from None
    except OSError as error:
        raise InputError(f"{path.name}: cannot be written: {error.strerror}") from None
    return point_of(key)


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a key that ``new_key`` has written.

    Raises:
        InputError: It is not there, or no such key.
    """
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError):
        raise InputError(f"{path.name}: wanted a key of 'upcare deposit key'") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InputError(f"{path.name}: wanted a key of 'upcare deposit key'")
    return key


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public part of a key as a ticket names it: an uncompressed point, 65 bytes."""
    return key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def read_point(path: Path) -> bytes:
    """Read what ``upcare deposit key`` prints: a point in hexadecimal, on one line.

    Raises:
        InputError: It is not there, or no such point.
    """
    try:
        point = bytes.fromhex(_read(path).decode("ascii"))
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise InputError(f"{path.name}: wanted the line that 'upcare deposit key' prints") from None
    if len(point) != POINT_BYTES:
        raise InputError(f"{path.name}: wanted the line that 'upcare deposit key' prints")
    return point


def write_ticket(path: Path, ticket: Ticket, certificate: bytes) -> None:
    """Write a ticket, with the certificate (PEM) of the registry that gives it.

    Raises:
        InputError: It cannot be written.
    """
    content = {
        "ticket": base64.b64encode(ticket.to_bytes()).decode("ascii"),
        "certificate": certificate.decode("ascii"),
    }
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", "ascii")
    except OSError as error:
        raise InputError(f"{path.name}: cannot be written: {error.strerror}") from None


def read_ticket(path: Path) -> tuple[Ticket, bytes]:
    """Read a ticket and the certificate of the registry that gave it; checked by ``check``.

    Raises:
        InputError: It is not there, or no ticket.
    """
    try:
        content = json.loads(_read(path))
        ticket = Ticket.from_bytes(base64.b64decode(content["ticket"], validate=True))
        return ticket, str(content["certificate"]).encode("ascii")
    except (ValueError, KeyError, TypeError, RecursionError, ProtocolError):
        raise InputError(f"{path.name}: wanted a ticket of 'upcare deposit ticket'") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES)
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read: {error.strerror}") from None
