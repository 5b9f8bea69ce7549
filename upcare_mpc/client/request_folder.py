"""What a researcher keeps of one request: a folder of her own, mode 700.

    access/<digest>/filing          what she filed
    access/<digest>/committee       who issues, as the network's key ceremonies say
    access/<digest>/key             the key, once t + 1 good fragments are there; secret
    access/<digest>/vault/<name>/   sealed records that it opens, of one registry
    access/<digest>/fetched.json    which editions these are
    access/seen.json                the last edition of each registry that she has seen

Filing, committee and key are written in hexadecimal, and so is the digest, that of the request. Key
and records in one place open for whoever gets the folder: keep it as you keep opened records, and
delete it with them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import default_group
from upcare_mpc.abe.keys import AttributeKey
from upcare_mpc.access.application import Application
from upcare_mpc.access.papers import Filing
from upcare_mpc.errors import ConfigError, InputError, ProtocolError
from upcare_mpc.storage.durable import held, replace_text
from upcare_mpc.study.packed import pack, unpack
from upcare_mpc.vault.opening import Seen
from upcare_mpc.vault.store import Folder

__all__ = ["Fetched", "RequestFolder", "keep_seen", "last_seen", "requests_in"]

_KEY: Final = b"UAJ1"
_MAX_KEY_BYTES: Final = 20 << 10
_DIGITS_AT_LEAST: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Which edition of a registry lies in the folder.

    Attributes:
        edition: Its number.
        day: Of which it is.
    """

    edition: int
    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFolder:
    """One request and what has come of it.

    Attributes:
        path: The folder.
        filing: What was asked.
        committee: Who issues.
    """

    path: Path
    filing: Filing
    committee: Committee

    @classmethod
    def make(cls, researcher: Path, filing: Filing, committee: Committee) -> "RequestFolder":
        """Make the folder; what is in it survives a crash."""
        path = researcher / "access" / filing.request.digest.hex()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_text(path / "committee", bytes(committee).hex())
        replace_text(path / "filing", bytes(filing).hex())
        return cls(path=path, filing=filing, committee=committee)

    @classmethod
    def find(cls, researcher: Path, digits: str) -> "RequestFolder":
        """Find a request by its digest, or by the first digits of it.

        Raises:
            InputError: There is none, or more than one.
            ConfigError: The folder is damaged.
        """
        if len(digits) < _DIGITS_AT_LEAST:
            raise InputError(f"a request is named by {_DIGITS_AT_LEAST} digits of it or more")
        found = [path for path in _folders(researcher) if path.name.startswith(digits.lower())]
        if len(found) != 1:
            many = "more than one request begins" if found else "no request here begins"
            raise InputError(f"{many} with {digits[:64]!a}")
        return cls.read(found[0])

    @classmethod
    def read(cls, path: Path) -> "RequestFolder":
        """Read a folder.

        Raises:
            ConfigError: It is damaged.
        """
        try:
            filing = Filing.from_bytes(_hexadecimal(path / "filing"))
            committee = Committee.from_bytes(default_group(), _hexadecimal(path / "committee"))
            if filing.request.committee != committee.digest:
                raise ProtocolError("another committee")
        except (OSError, ValueError, ProtocolError):
            raise ConfigError(f"the folder of request {path.name[:12]} is damaged") from None
        return cls(path=path, filing=filing, committee=committee)

    @property
    def digest(self) -> bytes:
        """Of the request, 32 bytes."""
        return self.filing.request.digest

    @property
    def application(self) -> Application:
        """What the request is for."""
        return self.filing.application

    def key(self) -> AttributeKey | None:
        """Return the key, secret; None if it is not there yet.

        Raises:
            ProtocolError: It is not one for this request; the text is that of records that do not
                open.
        """
        if not (self.path / "key").exists():
            return None
        try:
            encoded = _hexadecimal(self.path / "key")
            request, content = unpack(_KEY, encoded, most=_MAX_KEY_BYTES)
            key = AttributeKey.from_bytes(self.committee.group, content)
            if (request, key.attributes) != (self.digest, self.filing.request.attributes):
                raise ProtocolError("a key for another request")
        except (ProtocolError, ValueError):
            raise ProtocolError("the sealed records do not open") from None
        return key

    def keep_key(self, key: AttributeKey) -> None:
        """Keep the key, mode 600."""
        replace_text(self.path / "key", pack(_KEY, self.digest, bytes(key)).hex())

    def vault(self, registry: str) -> Folder:
        """Return where the sealed records of a registry lie."""
        return Folder(self.path / "vault" / registry)

    def fetched(self) -> dict[str, Fetched] | None:
        """Return what was fetched, by registry; None if something is missing still."""
        content = _json(self.path / "fetched.json")
        if content.keys() != set(self.application.registries):
            return None
        return {
            name: Fetched(edition=one["edition"], day=date.fromisoformat(one["day"]))
            for name, one in content.items()
        }

    def keep_fetched(self, fetched: Mapping[str, Fetched]) -> None:
        """Write down what was fetched."""
        content = {
            name: {"edition": one.edition, "day": one.day.isoformat()}
            for name, one in fetched.items()
        }
        replace_text(self.path / "fetched.json", json.dumps(content, indent=1) + "\n")


def requests_in(researcher: Path) -> list[RequestFolder]:
    """Return all requests in a researcher's folder."""
    return [RequestFolder.read(path) for path in _folders(researcher)]


def last_seen(researcher: Path, registry: str) -> Seen | None:
    """Return the last edition of a registry that this researcher has seen."""
    one = _json(researcher / "access" / "seen.json").get(registry)
    if one is None:
        return None
    return Seen(sequence=one["sequence"], digest=bytes.fromhex(one["digest"]))


def keep_seen(researcher: Path, registry: str, seen: Seen) -> None:
    """Remember an edition; an older one does not count any more.

    Raises:
        ConfigError: Another command is remembering one at this moment.
    """
    path = researcher / "access" / "seen.json"
    with held(path.with_suffix(".lock"), "another command works on these requests; try again"):
        content = _json(path)
        content[registry] = {"sequence": seen.sequence, "digest": seen.digest.hex()}
        replace_text(path, json.dumps(content, indent=1) + "\n")


def _folders(researcher: Path) -> list[Path]:
    found = (researcher / "access").glob("*/filing")
    return sorted(path.parent for path in found)


def _hexadecimal(path: Path) -> bytes:
    return bytes.fromhex(path.read_text("ascii"))


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise ConfigError(f"{path.name} in the researcher's folder is damaged") from None
    return content
