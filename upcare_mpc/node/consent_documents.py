"""Consents as hospitals send them: files of FHIR Consent resources, read into answers.

    *.json      one resource, or a Bundle of them
    *.ndjson    one resource a line (FHIR Bulk Data)

A resource of our own profile states its version, which has to be the next of its patient; a broad
consent does not, and is put in the order of days. Of what is not recorded yet, an answer that is
older than the last word is left out, for it must not supersede it; one of the same day contradicts
it, so that only what both permit is permitted. The same files may be read again.

**A document that cannot be read may be a "no".** If it says whose it is, a refusal is noted for
this patient, under a form that names the document by its SHA-256, until a person has read it and
recorded what it says. If it does not, nothing of all the files is recorded.

Adversary: whoever writes a document. It is bounded before it is parsed, and no error quotes it.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeAlias

from upcare_mpc.consent.fhir import PROFILE, read_consent
from upcare_mpc.consent.fhir_elements import MAX_BYTES
from upcare_mpc.consent.fhir_mii import read_broad_consent
from upcare_mpc.consent.json_text import read_json
from upcare_mpc.consent.model import PSEUDONYM_BYTES, Activity, Answer, Consent
from upcare_mpc.errors import InputError

__all__ = ["MAX_BUNDLE_BYTES", "UNREAD", "Reading", "next_version", "read_documents"]

MAX_BUNDLE_BYTES: Final = 32 << 20
UNREAD: Final = "urn:upcare:unread:"
"""Begins the form of a refusal that stands for a document nobody has read."""

_Resource: TypeAlias = tuple[str, dict[str, Any], bytes]  # place, content, the bytes it is in
_OWN_PSEUDONYM: Final = "urn:upcare:pseudonym"


@dataclass(slots=True, kw_only=True)
class Reading:
    """What became of some documents; the numbers are counts of patients, and secret.

    Attributes:
        new: What is to be recorded.
        documents: How many there were.
        already: Answers that are recorded already.
        older: Answers left out, as a later word is recorded.
        unread: Documents that could not be read, by reason; ``new`` has refusals for them.
        others: Resources and files that are no consents.
    """

    new: list[Consent] = field(default_factory=list)
    documents: int = 0
    already: int = 0
    older: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    others: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """An answer of a document; if it is not numbered, its version is still to be worked out."""

    answer: Consent
    numbered: bool
    document: str  # SHA-256 in hex

    @property
    def refusal(self) -> "_Found":
        """No, in its place, until a person has read the document."""
        answer = replace(
            self.answer, answer=Answer.REFUSED, terms=None, form=UNREAD + self.document
        )
        return replace(self, answer=answer, numbered=False)


def read_documents(
    paths: Iterable[Path],
    recorded: Iterable[Consent],
    *,
    pseudonym: Callable[[str], bytes],
    data_set: str,
    activities: Sequence[Activity],
    today: date,
) -> Reading:
    """Read files, and folders with all files below them.

    Args:
        paths: Of the files.
        recorded: All consents that are recorded.
        pseudonym: Turns a patient's identifier into this registry's pseudonym.
        data_set: Which data set broad consents are taken to be about, and others have to be about.
        activities: What broad consents are taken to be about.
        today: An answer cannot be of a later day.

    Raises:
        InputError: A file is none, or it is not known whose a document is that cannot be read.
    """
    reading = Reading()
    answers: dict[bytes, list[_Found]] = defaultdict(list)
    for place, content, document in _documents(paths, reading):
        reading.documents += 1
        try:
            found = list(_answers(content, document, pseudonym, data_set, activities, today))
        except InputError as error:
            whose = _whose(content, pseudonym)
            if whose is None:
                raise InputError(
                    f"{place}: {error}; whose it is cannot be read, and it may be a refusal, so "
                    "nothing of these files is recorded"
                ) from None
            reading.unread[str(error)] += 1
            found = list(_refusals(document, whose, data_set, today))
        answers[found[0].answer.patient] += found
    known: dict[bytes, list[Consent]] = defaultdict(list)
    for consent in recorded:
        if consent.patient in answers:
            known[consent.patient].append(consent)
    for patient, own in answers.items():
        for activity in Activity:
            on_it = [one for one in own if one.answer.activity is activity]
            _put_in_order(
                on_it, [one for one in known[patient] if one.activity is activity], reading
            )
    return reading


def next_version(recorded: Iterable[Consent], activity: Activity) -> int:
    """Return the version of a patient's next answer on an activity."""
    return 1 + max((one.version for one in recorded if one.activity is activity), default=0)


# --- files ------------------------------------------------------------------------------------


def _documents(paths: Iterable[Path], reading: Reading) -> Iterator[_Resource]:
    """Each resource that is a consent."""
    for path in _files(paths, reading):
        resources = _of_lines(path) if path.suffix == ".ndjson" else _of_file(path)
        try:
            for place, content, document in resources:
                if content.get("resourceType") == "Consent":
                    yield place, content, document
                else:
                    reading.others += 1
        except OSError as error:
            raise InputError(f"{path.name}: cannot be read: {error.strerror}") from None


def _files(paths: Iterable[Path], reading: Reading) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            below = sorted(found for found in path.rglob("*") if found.is_file())
            files = [found for found in below if found.suffix in {".json", ".ndjson"}]
            reading.others += len(below) - len(files)
            yield from files
        elif path.suffix in {".json", ".ndjson"}:
            yield path
        else:
            raise InputError(f"{path.name}: wanted a file *.json or *.ndjson, or a folder of them")


def _of_lines(path: Path) -> Iterator[_Resource]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_BYTES + 2):
            number += 1
            if document := line.strip():
                place = f"{path.name}, line {number}"
                yield place, read_json(document, name=place, max_bytes=MAX_BYTES), document


def _of_file(path: Path) -> Iterator[_Resource]:
    with path.open("rb") as file:
        document = file.read(MAX_BUNDLE_BYTES + 1)
    content = read_json(document, name=path.name, max_bytes=MAX_BUNDLE_BYTES)
    if content.get("resourceType") != "Bundle":
        yield path.name, content, document
        return
    entries = content.get("entry", [])
    if not isinstance(entries, list):
        raise InputError(f"{path.name}: Bundle.entry: wanted a list")
    for number, entry in enumerate(entries, 1):
        place = f"{path.name}, entry {number}"
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            raise InputError(f"{place}: wanted a resource")
        yield place, resource, json.dumps(resource, ensure_ascii=True).encode("ascii")


# --- documents --------------------------------------------------------------------------------


def _answers(
    content: dict[str, Any],
    document: bytes,
    pseudonym: Callable[[str], bytes],
    data_set: str,
    activities: Sequence[Activity],
    today: date,
) -> Iterator[_Found]:
    meta = content.get("meta")
    numbered = isinstance(meta, dict) and meta.get("profile") == [PROFILE]
    if numbered:
        answers: tuple[Consent, ...] = (read_consent(document),)
    else:
        answers = read_broad_consent(
            document, pseudonym=pseudonym, data_set=data_set, activities=activities, version=1
        )
    for answer in answers:
        if answer.data_set != data_set:
            raise InputError("FHIR Consent.organization: wanted this data set, got another")
        if answer.given > today:
            raise InputError("FHIR Consent.dateTime: wanted a day not after today, got a later one")
        yield _Found(answer, numbered, hashlib.sha256(document).hexdigest())


def _whose(content: dict[str, Any], pseudonym: Callable[[str], bytes]) -> bytes | None:
    """Look for the patient of a document that was refused."""
    patient = content.get("patient", content.get("subject"))
    if not isinstance(patient, dict):
        return None
    identifier = patient.get("identifier")
    if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
        value = identifier["value"]
        return _own(value) if identifier.get("system") == _OWN_PSEUDONYM else pseudonym(value)
    kind, _, name = str(patient.get("reference", "")).partition("/")
    return pseudonym(name) if kind == "Patient" and name and "/" not in name else None


def _own(value: str) -> bytes | None:
    try:
        found = bytes.fromhex(value)
    except ValueError:
        return None
    return found if len(found) == PSEUDONYM_BYTES else None


def _refusals(document: bytes, patient: bytes, data_set: str, today: date) -> Iterator[_Found]:
    """No to everything, in place of a document of which only the patient can be read."""
    for activity in Activity:
        answer = Consent(
            patient=patient,
            data_set=data_set,
            activity=activity,
            version=1,
            answer=Answer.REFUSED,
            given=today,
            form=UNREAD,
        )
        digest = hashlib.sha256(document).hexdigest()
        yield _Found(answer, numbered=False, document=digest).refusal


# --- order ------------------------------------------------------------------------------------


def _put_in_order(found: list[_Found], recorded: list[Consent], reading: Reading) -> None:
    """Give versions to a patient's answers on one activity, and add what is new to ``reading``."""
    known = list(recorded)
    found.sort(key=lambda one: (one.answer.version, one.answer.given, one.answer.digest))
    dated = [one for one in found if not one.numbered]
    for one in found:
        if not one.numbered:
            continue
        last_version = next_version(known, one.answer.activity) - 1
        if one.answer in known:
            reading.already += 1
        elif one.answer.version < last_version and _version(one.answer, known) is None:
            reading.older += 1
        elif one.answer.version not in {last_version, last_version + 1}:
            reading.unread["FHIR Consent.identifier: wanted the patient's next version"] += 1
            dated.append(one.refusal)
        else:
            known.append(one.answer)
            reading.new.append(one.answer)
    for one in sorted(dated, key=lambda one: (one.answer.given, one.answer.digest)):
        if any(_same(one.answer, other) for other in known):
            reading.already += 1
            continue
        version = _version(one.answer, known)
        if version is None:
            reading.older += 1
            continue
        answer = replace(one.answer, version=version)
        known.append(answer)
        reading.new.append(answer)


def _same(answer: Consent, recorded: Consent) -> bool:
    if answer.form.startswith(UNREAD):
        return recorded.form == answer.form
    return replace(recorded, version=answer.version) == answer


def _version(answer: Consent, known: list[Consent]) -> int | None:
    """The version of a dated answer; None if it is older than the last word."""
    last = next_version(known, answer.activity) - 1
    day = max((one.given for one in known if one.version == last), default=date.min)
    if answer.given < day:
        return None
    return max(last, 1) if answer.given == day else last + 1
