"""Elements of a FHIR resource, read strictly: what is not expected is refused, by its place.

FHIR lets a reader ignore what it does not know, except where that would change the meaning
(``modifierExtension``, ``implicitRules``). A consent that was half understood would permit too
much, so here nothing is ignored but what FHIR itself calls safe to ignore and is named at the call.
A text of an error holds the place and never the value.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from upcare_mpc.consent.json_text import read_json
from upcare_mpc.errors import InputError

__all__ = [
    "CONSENT_SCOPE",
    "HARMLESS",
    "LOINC",
    "MAX_BYTES",
    "PRIVACY_CONSENT",
    "Coding",
    "Element",
    "read_resource",
]

MAX_BYTES: Final = 256 * 1024
MAX_ITEMS: Final = 256
HARMLESS: Final = ("id", "language", "text", "extension")
"""Of a resource or an element: a reader may ignore them."""

LOINC: Final = "http://loinc.org"
PRIVACY_CONSENT: Final = "57016-8"
CONSENT_SCOPE: Final = "http://terminology.hl7.org/CodeSystem/consentscope"

_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,39}", re.ASCII)
_DAY_LENGTH: Final = 10
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Coding:
    """A code and the system it is of."""

    system: str
    code: str


@dataclass(frozen=True, slots=True)
class Element:
    """A value of the resource, and where it stands."""

    value: Any
    path: str

    def wrong(self, wanted: str) -> InputError:
        """Return the error that says what was wanted here."""
        return InputError(f"FHIR {self.path}: wanted {wanted}, got something else")

    def only(self, *known: str, labels: tuple[str, ...] = ()) -> None:
        """Refuse other children than these; labels are texts for people, and may be there."""
        for name in self._object():
            if name in labels:
                self.child(name).text()
            elif name not in known:
                shown = name if _NAME.fullmatch(name) else "(no name of FHIR)"
                raise InputError(f"FHIR {self.path}.{shown}: not supported here")

    def child(self, name: str) -> "Element":
        """Return a child that must be there."""
        found = self.maybe(name)
        if found is None:
            raise InputError(f"FHIR {self.path}.{name}: missing")
        return found

    def maybe(self, name: str) -> "Element | None":
        """Return a child that may be missing."""
        content = self._object()
        return Element(content[name], f"{self.path}.{name}") if name in content else None

    def items(self) -> Iterator["Element"]:
        """Return the elements of a list that is not empty."""
        if not isinstance(self.value, list) or not 0 < len(self.value) <= MAX_ITEMS:
            raise self.wrong(f"a list of 1 to {MAX_ITEMS}")
        for place, value in enumerate(self.value):
            yield Element(value, f"{self.path}[{place}]")

    def single(self) -> "Element":
        """Return the only element of a list."""
        if not isinstance(self.value, list) or len(self.value) != 1:
            raise self.wrong("a list of one")
        return Element(self.value[0], f"{self.path}[0]")

    def text(self) -> str:
        """Return a text that is not empty."""
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong("a text")
        return self.value

    def fixed(self, *wanted: str) -> str:
        """Return a text that is one of a few."""
        if self.value not in wanted:
            raise self.wrong(" or ".join(wanted))
        return self.text()

    def coding(self) -> Coding:
        """Return a Coding."""
        self.only("system", "code", labels=("id", "version", "display"))
        return Coding(self.child("system").text(), self.child("code").text())

    def concept(self) -> Coding:
        """Return the only Coding of a CodeableConcept."""
        self.only("coding", labels=("id", "text"))
        return self.child("coding").single().coding()

    def day(self) -> date:
        """Return a day."""
        text = self.text()
        try:
            if _DAY.fullmatch(text):
                return date.fromisoformat(text)
        except ValueError:  # there is no such day
            pass
        raise self.wrong("a day like 2026-11-22")

    def any_day(self) -> date:
        """Return the day of a dateTime."""
        text = self.text()
        if text[_DAY_LENGTH:] and text[_DAY_LENGTH] != "T":
            raise self.wrong("a day, or a day and a time")
        return Element(text[:_DAY_LENGTH], self.path).day()

    def whole_day(self, *, after: bool) -> date:
        """Return the day of a dateTime; with a time, the next day, or else the one before."""
        day = self.any_day()
        if len(self.text()) == _DAY_LENGTH:
            return day
        try:
            return day + timedelta(days=1 if after else -1)
        except OverflowError:
            raise self.wrong("a day of a usual year") from None

    def _object(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return self.value


def read_resource(document: bytes) -> Element:
    """Read a Consent of research, of FHIR R4 or R4B, as far as every dialect has it.

    Raises:
        InputError: It is none. The text quotes nothing of it.
    """
    content = read_json(document, name="FHIR", max_bytes=MAX_BYTES)
    resource = Element(content, "Consent")
    resource.child("resourceType").fixed("Consent")
    scope = resource.child("scope")
    if scope.concept() != Coding(CONSENT_SCOPE, "research"):
        raise scope.wrong(f"the code research of {CONSENT_SCOPE}")
    return resource
