"""What a researcher writes about her project when she asks for a key to sealed records.

    canonical  = JSON (``journal.canonical_json``) with "upcare_application": 1
    nonce      = SHA-256("upcare/v1/access-application|" | canonical)

The nonce is the nonce of her ``abe.request.Request``. So the digest of the request, which is what
registries approve and fragments are bound to, binds every word of the application too.

What a key can open is said by its attributes, and these follow from the application alone:
``attributes_of``. All of it is public to the network, and shown to patients.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Final

from upcare_mpc.consent import diseases as icd
from upcare_mpc.consent import duo
from upcare_mpc.consent.compile import attributes, days_of
from upcare_mpc.consent.json_text import read_json
from upcare_mpc.consent.model import Activity
from upcare_mpc.consent.use import Use
from upcare_mpc.errors import InputError, ProtocolError
from upcare_mpc.journal import canonical_json

__all__ = ["MAX_APPLICATION_BYTES", "Application", "attributes_of", "check_line", "is_registry"]

MAX_APPLICATION_BYTES: Final = 16 << 10
MAX_REGISTRIES: Final = 64
_MAX_LINE = 200
_MAX_PURPOSES = 16
_SALT_BYTES = 16
_VERSION = 1
_LABEL = b"upcare/v1/access-application|"
_PROJECT = re.compile(r"[a-z0-9][a-z0-9.+-]{0,62}", re.ASCII)
_REGISTRY = re.compile(r"[a-z][a-z0-9-]{1,30}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Application:
    """A project, and what is asked for it. Public to the network.

    Attributes:
        project: Its name, as in the attribute ``project:p-17``.
        title: One line for people.
        purposes: DUO codes, all that apply, each as specific as it can be.
        diseases: ICD-10 categories that it is about.
        registries: Whose records are to be opened; ascending.
        epoch: The month in which, ``2026-11``.
        claims: What she says of her organisation and her use (``consent.use``); registries certify.
        evidence: DUO obligation to one line that says where it is documented or promised: words, or
            the SHA-256 of a document.
        region: Country in which the data are used, ``DE``; registries certify it.
        salt: 16 random bytes: the same project asked for twice is two requests.
    """

    project: str
    title: str
    purposes: frozenset[str]
    diseases: frozenset[str] = icd.NEOPLASMS
    registries: tuple[str, ...]
    epoch: str
    claims: frozenset[str] = frozenset()
    evidence: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    salt: bytes

    def __post_init__(self) -> None:
        if not _PROJECT.fullmatch(self.project):
            raise InputError(
                "application: project: wanted 1 to 63 of a-z, 0-9, '.', '+' and '-', like p-17"
            )
        check_line(self.title, name="application: title")
        if not (duo.known_purposes(self.purposes) and len(self.purposes) <= _MAX_PURPOSES):
            unknown = sorted(self.purposes - duo.PURPOSES)
            got = f", got {unknown[0][:20]!a}" if unknown else ""
            raise InputError(
                f"application: purposes: wanted 1 to {_MAX_PURPOSES} DUO codes of purposes like "
                f"DUO:0000007{got}"
            )
        days_of(self.epoch)
        if not 1 <= len(self.registries) <= MAX_REGISTRIES or list(self.registries) != sorted(
            set(self.registries)
        ):
            raise InputError(
                f"application: registries: wanted 1 to {MAX_REGISTRIES}, ascending, each once"
            )
        if not all(map(is_registry, self.registries)):
            raise InputError("application: registries: wanted names like de-a")
        for line in self.evidence.values():
            check_line(line, name="application: evidence")
        if len(self.salt) != _SALT_BYTES:
            raise InputError(f"application: salt: wanted {_SALT_BYTES} bytes")
        attributes_of(self)  # checks the rest
        if len(self.canonical) > MAX_APPLICATION_BYTES:
            raise InputError(f"application: wanted at most {MAX_APPLICATION_BYTES} bytes")

    @property
    def canonical(self) -> bytes:
        """The one text of this application."""
        return canonical_json(
            {
                "upcare_application": _VERSION,
                "project": self.project,
                "title": self.title,
                "purposes": sorted(self.purposes),
                "diseases": icd.ranges(self.diseases),
                "registries": self.registries,
                "epoch": self.epoch,
                "claims": sorted(self.claims),
                "evidence": dict(self.evidence),
                "region": self.region,
                "salt": self.salt.hex(),
            }
        ).encode()

    @classmethod
    def from_canonical(cls, received: bytes) -> "Application":
        """Decode an application.

        Raises:
            ProtocolError: The bytes are anything but the canonical text of one, version 1.
        """
        try:
            content = read_json(received, name="application", max_bytes=MAX_APPLICATION_BYTES)
            application = _read(content)
            if application.canonical != received:
                raise InputError("another spelling")
        except (InputError, ValueError, TypeError, KeyError, AttributeError):
            raise ProtocolError("these are not the bytes of an application, version 1") from None
        return application

    @property
    def nonce(self) -> bytes:
        """What the request of this application has as nonce; 32 bytes."""
        return sha256(_LABEL + self.canonical).digest()

    def is_like(self, other: "Application") -> bool:
        """Say whether another application differs in its salt alone."""
        return replace(self, salt=other.salt) == other

    @property
    def uses(self) -> tuple[Use, ...]:
        """What the gate of each registry is asked, in the order of ``registries``."""
        return tuple(
            Use(
                activity=Activity.RECORDS,
                data_set=registry,
                purposes=self.purposes,
                claims=self.claims,
                evidence=frozenset(self.evidence),
                diseases=self.diseases,
                region=self.region,
            )
            for registry in self.registries
        )


def attributes_of(application: Application) -> tuple[str, ...]:
    """Return the attributes of the key that an application is for: these, and no others.

    What ``consent.compile.attributes`` certifies of its use at each registry, its project and its
    month; ascending.

    Raises:
        InputError: The use is none: a claim, an obligation or a country that there is not.
    """
    found = {f"project:{application.project}"}
    for registry, use in zip(application.registries, application.uses, strict=True):
        found |= attributes(use, site=registry, epoch=application.epoch)
    return tuple(sorted(found))


def check_line(text: str, *, name: str) -> str:
    """Return a text if it is one line that a terminal and a page can show as it is.

    Raises:
        InputError: It is empty, longer than 200 characters, not in Unicode's form NFC, begins or
            ends with a space, or has a character that cannot be printed.
    """
    if not (
        0 < len(text) <= _MAX_LINE
        and text.isprintable()
        and text == text.strip()
        and unicodedata.is_normalized("NFC", text)
    ):
        raise InputError(f"{name}: wanted one line of 1 to {_MAX_LINE} printable characters")
    return text


def is_registry(text: str) -> bool:
    """Say whether a text can be the name of a registry, like ``de-a``."""
    return _REGISTRY.fullmatch(text) is not None


def _read(content: dict[str, Any]) -> Application:
    if content.pop("upcare_application") != _VERSION:
        raise InputError("another version")
    evidence = {str(code): str(line) for code, line in content.pop("evidence").items()}
    salt, region = bytes.fromhex(content.pop("salt")), content.pop("region")
    texts = {name: str(content.pop(name)) for name in ("project", "title", "epoch")}
    lists = {
        name: [str(text) for text in content.pop(name)]
        for name in ("purposes", "diseases", "registries", "claims")
    }
    if content:
        raise InputError("a key that there is not")
    return Application(
        **texts,
        purposes=frozenset(lists["purposes"]),
        diseases=icd.categories(lists["diseases"]),
        registries=tuple(lists["registries"]),
        claims=frozenset(lists["claims"]),
        evidence=evidence,
        region=None if region is None else str(region),
        salt=salt,
    )
