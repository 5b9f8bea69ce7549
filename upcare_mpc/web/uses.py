"""Which studies and projects a patient's record belongs to, as far as this registry knows.

A study is listed if the registry agreed to it and the record, as it is in the snapshot today, lies
in the group that it asks about. Whether it was counted when the study ran, nobody has written down:
counts are kept of nobody, and the page says so.

A project is listed if this registry approved of its request for a key to this registry's records.
Whether the key matched is worked out from every permission that the patient has given: if one of
them was recorded before the end of the key's month and was not replaced before its beginning, and
its policy opens for the key. That may say yes for a record that was never sealed so, and does not
say no for one that was. Opening is local, so nobody knows which records were opened.

A questionnaire is listed if the registry gave the patient a ticket for it. What she has answered it
does not know; whether she has, if she did it on the page.

What researchers have written (titles) is text from outside.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Final

from sqlalchemy import select

from upcare_mpc.access.papers import Filing
from upcare_mpc.consent.compile import compile_policy, days_of
from upcare_mpc.consent.model import Activity, Consent
from upcare_mpc.deposits.receipt import Receipt
from upcare_mpc.errors import RefusedError
from upcare_mpc.journal import Entry
from upcare_mpc.records.case import Case
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import QUESTIONS, REQUESTS
from upcare_mpc.storage.tickets import GivenTicket, TicketState
from upcare_mpc.study.evaluation import compiled
from upcare_mpc.study.spec import Study
from upcare_mpc.web import words
from upcare_mpc.web.language import Language

__all__ = [
    "AnswerUse",
    "ProjectUse",
    "StudyUse",
    "answer",
    "projects",
    "purpose_in_words",
    "studies",
]

_APPROVED: Final = "access.approve"
_ISSUED: Final = "access.issued"
_FETCHED: Final = "access.fetched"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyUse:
    """A study that asks about a group that the record belongs to. Secret: that it does.

    Attributes:
        title: As its researcher wrote it.
        purpose: In words.
        registries: Whom it asks.
        day: On which this registry first agreed to it.
    """

    title: str
    purpose: str
    registries: tuple[str, ...]
    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectUse:
    """A project that this registry has approved of.

    Attributes:
        title: As its researcher wrote it.
        purposes: In words.
        approved: On which day.
        issued: The day on which the parts of a key were seen; None if they were not.
        matched: Whether the key opens for a permission of this patient. Secret.
        fetched: The days on which sealed records of this registry were handed out for it.
        until: The last day on which parts of the key may leave.
    """

    title: str
    purposes: tuple[str, ...]
    approved: date
    issued: date | None
    matched: bool
    fetched: tuple[date, ...]
    until: date


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerUse:
    """A questionnaire for which the patient has a ticket. Secret: that she has.

    Attributes:
        collection: Digest of its collection, in hexadecimal.
        title: As its researcher wrote it.
        purpose: In words.
        day: Of the ticket.
        state: How far her deposit has come.
        place: Number of her deposit, from 1; None unless it is delivered.
        time: When the platform stored it, UTC; likewise.
    """

    collection: str
    title: str
    purpose: str
    day: date
    state: TicketState
    place: int | None = None
    time: datetime | None = None


def answer(given: GivenTicket, language: Language) -> AnswerUse:
    """Say what is known of a patient's answers to one questionnaire."""
    study = Study.from_canonical(given.study)
    found = AnswerUse(
        collection=given.collection.hex(),
        title=study.title,
        purpose=purpose_in_words(study.purpose, language),
        day=given.given.date(),
        state=given.state,
    )
    if given.receipt is None:
        return found
    receipt = Receipt.from_bytes(given.receipt)
    return replace(found, place=receipt.place + 1, time=datetime.fromtimestamp(receipt.time, UTC))


def studies(database: Database, cases: Iterable[Case], language: Language) -> tuple[StudyUse, ...]:
    """Return the studies that ask about a patient's group, the latest first.

    Args:
        database: The node's.
        cases: Of the patient, as they are today.
        language: For the purposes.
    """
    own = tuple(cases)
    with database.read() as connection:
        rows = connection.execute(select(QUESTIONS).order_by(QUESTIONS.c.first.desc())).all()
    found = []
    for row in rows:
        study = Study.from_canonical(row.canonical)
        asked_about = compiled(study.where)
        if any(asked_about(case) is True for case in own):
            found.append(
                StudyUse(
                    title=study.title,
                    purpose=purpose_in_words(study.purpose, language),
                    registries=study.registries,
                    day=_day(row.first),
                )
            )
    return tuple(found)


def projects(
    database: Database,
    entries: Iterable[Entry],
    consents: Mapping[Consent, datetime],
    *,
    registry: str,
    language: Language,
) -> tuple[ProjectUse, ...]:
    """Return the projects that this registry has approved of, the latest first.

    Args:
        database: The node's.
        entries: The journal.
        consents: All of the patient, with the time at which each was recorded.
        registry: Whose records are meant.
        language: For the purposes.
    """
    written: dict[str, dict[str, list[date]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        if entry.kind in {_APPROVED, _ISSUED, _FETCHED}:
            request = str(entry.fields()["request"])
            written[request][entry.kind].append(_day(entry.time))
    with database.read() as connection:
        rows = connection.execute(select(REQUESTS).order_by(REQUESTS.c.seen.desc())).all()
    found = []
    for row in rows:
        days = written[row.request.hex()]
        filing = Filing.from_bytes(row.filing)
        if not days[_APPROVED] or registry not in filing.request.sites:
            continue
        found.append(
            ProjectUse(
                title=filing.application.title,
                purposes=tuple(
                    purpose_in_words(code, language) for code in sorted(filing.application.purposes)
                ),
                approved=days[_APPROVED][0],
                issued=days[_ISSUED][0] if days[_ISSUED] else None,
                matched=_matches(filing, consents, registry),
                fetched=tuple(days[_FETCHED]),
                until=datetime.fromtimestamp(filing.request.not_after, UTC).date(),
            )
        )
    return tuple(found)


def _matches(filing: Filing, consents: Mapping[Consent, datetime], registry: str) -> bool:
    first, last = days_of(filing.request.epoch)
    begins = datetime.combine(first, time.min, UTC)
    ends = datetime.combine(last, time.max, UTC)
    key = frozenset(filing.request.attributes)
    on_it = [
        (recorded, consent)
        for consent, recorded in consents.items()
        if (consent.activity, consent.data_set) == (Activity.RECORDS, registry)
    ]
    for recorded, consent in on_it:
        later = [other for other, next_ in on_it if next_.version > consent.version]
        replaced = min(later, default=None)
        if recorded > ends or (replaced is not None and replaced < begins):
            continue
        try:
            policy = compile_policy([consent], data_set=registry, site=registry, day=last)
        except RefusedError:  # nothing is sealed under it
            continue
        if policy.holds_for(key):
            return True
    return False


def purpose_in_words(code: str, language: Language) -> str:
    """Say what a purpose means; the code itself if nobody knows it."""
    return language.say(words.PURPOSES[code]) if code in words.PURPOSES else code


def _day(text: str) -> date:
    return datetime.fromisoformat(text).date()
