"""Requests for keys at one registry: what is on the board, and a person's yes or no.

    sync       board -> table of requests; what happened there -> journal
    approve    journal, then the signed paper
    refuse     journal, then the signed paper

A yes is written into the journal before it is signed, so the registry knows of every signature that
it has given. Cut in between, the same command posts the paper.

What a registry approves of is what it was shown: ``check_filing`` refuses a request whose
attributes are not exactly those of its application, or that claims more of the researcher than this
registry's policy certifies. The adversary is the researcher, the platform that carries her papers,
and any other registry; none can make this one sign more than its operator read.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import select

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.release import Releases
from upcare_mpc.abe.request import approval_statement, check_request
from upcare_mpc.access.application import attributes_of, check_line
from upcare_mpc.access.papers import Filing, Refusal, SignedApproval, refusal_statement
from upcare_mpc.access.sealing import seal
from upcare_mpc.access.topic import Topic, asked, read_topic
from upcare_mpc.config import Certified, Policy
from upcare_mpc.consent.compile import days_of
from upcare_mpc.errors import ProtocolError, RefusedError
from upcare_mpc.journal import Entry, Event, Json, utc_text
from upcare_mpc.link.board import Paper, RegistryBoard
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.signers import certifier
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.schema import REQUESTS

__all__ = ["Case", "Requests", "check_filing", "researcher_name"]

_REFUSE = "access.refuse"
_APPROVED = "access.approved"
_ISSUED = "access.issued"
_FETCHED = "access.fetched"
_SEEN = frozenset({_APPROVED, _ISSUED, _FETCHED})  # on the board
_AFTERWARDS = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request as this registry sees it.

    Attributes:
        filing: What was asked.
        topic: What is on the board about it.
    """

    filing: Filing
    topic: Topic

    @property
    def digest(self) -> bytes:
        """Of the request, 32 bytes."""
        return self.filing.request.digest


def check_filing(
    filing: Filing, *, registry: str, policy: Policy, committee: Committee, now: float
) -> None:
    """Check everything about a request that a registry can check without a person.

    Args:
        filing: Signed by whom it names.
        registry: Which one is to approve.
        policy: Its own.
        committee: The present one.
        now: Seconds since 1970, UTC.

    Raises:
        RefusedError: The first thing that stands against it, in one line.
    """
    request, application = filing.request, filing.application
    check_request(committee, request, now=now)
    _check_month(filing, now=now)
    if registry not in asked(committee, request):
        raise RefusedError(
            f"{registry} is not asked: it is not in the committee, and the key is not for its "
            "records"
        )
    if researcher_name(policy, filing.key) is None:
        raise RefusedError(
            "the researcher is not known here; a key belongs under [policy.researchers]"
        )
    unknown = sorted(application.purposes - policy.purposes)
    if unknown:
        raise RefusedError(f"the policy does not accept the purpose {unknown[0]}")
    if request.attributes != attributes_of(application):
        raise RefusedError("the attributes asked for are not those of the application")
    try:
        seal(b"", request.sealing_key, use="fragment", digest=request.digest, names=(registry,))
    except ProtocolError as error:
        raise RefusedError(f"no fragment can be sealed: {error}") from None
    certified = policy.certified.get(filing.key, Certified())
    uncertain = sorted(application.claims - certified.claims)
    if uncertain:
        raise RefusedError(f"the policy does not certify {uncertain[0]} of this researcher")
    if application.region not in {None, certified.region}:
        raise RefusedError(
            f"the policy does not certify the region {application.region} of this researcher"
        )


def researcher_name(policy: Policy, key: bytes) -> str | None:
    """Return the name under which a policy knows a researcher's key."""
    return next((name for name, known in policy.researchers.items() if known == key), None)


class Requests:
    """The requests that one registry knows; safe for several processes."""

    def __init__(
        self,
        database: Database,
        board: RegistryBoard,
        identity: Identity,
        committees: Sequence[Committee],
    ) -> None:
        """Look at requests; the last of the committees, oldest first, is in force."""
        self._database = database
        self._journal = SqlJournal(database)
        self._board = board
        self._identity = identity
        self._committees = {committee.digest: committee for committee in committees}
        self._committee = committees[-1]

    def sync(self, *, time: datetime) -> list[Case]:
        """Take in what is new on the board, and write what happened there into the journal.

        ``access.approved``: another registry that was asked has approved. ``access.issued``: t + 1
        signed fragments of a request are on the board. ``access.fetched``: the platform says that
        it handed out sealed records of this registry. Each once, at every registry, asked or not.

        Returns:
            The requests in play, oldest first: those that may be issued for still, or whose month
            has not ended, and a week longer.

        Raises:
            LinkError, RefusedError: The board cannot be reached, or says no.

        Cost: one call for each request in play.
        """
        known = self._known()
        for _, digest in self._board.topics("request"):
            if digest not in known and (filing := self._filing(digest)) is not None:
                self._keep(filing, time=time)
                known[digest] = filing
        certify = certifier(self._identity.network, now=time)
        cases = []
        for digest, filing in known.items():
            if _last_day(filing) >= time.date():
                topic = read_topic(self._papers(digest), request=digest, certify=certify)
                cases.append(Case(filing=filing, topic=topic))
        self._write_down(cases, time=time)
        return cases

    def approve(self, case: Case, *, policy: Policy, time: datetime) -> bool:
        """Approve of a request.

        Args:
            case: As it was shown to whom it is up to.
            policy: This registry's.
            time: Now, UTC.

        Returns:
            Whether it is new; if not, the approval was given before and is on the board.

        Raises:
            RefusedError: ``check_filing`` says why.
        """
        check_filing(
            case.filing,
            registry=self._name,
            policy=policy,
            committee=self._committee,
            now=time.timestamp(),
        )
        request = case.filing.request

        def decide(entries: tuple[Entry, ...]) -> Event:
            return Releases.of(entries).approve(self._committee, request, now=time.timestamp())

        new = case.digest not in Releases.of(self._journal.entries()).approved
        if new:
            self._journal.record(decide, time=time)
        if self._name not in case.topic.approvals:
            signature = self._identity.sign(approval_statement(case.digest, self._name))
            paper = SignedApproval(
                registry=self._name,
                request=case.digest,
                signature=signature,
                certificate=self._identity.certificate_pem,
            )
            self._board.post(case.digest, "approval", bytes(paper))
        return new

    def refuse(self, case: Case, *, reason: str, time: datetime) -> None:
        """Refuse a request, for everybody on its topic to read.

        Raises:
            InputError: The reason is not one line.
            RefusedError: This registry has approved of it before, and a fragment may have left.
        """
        check_line(reason, name="reason")

        def decide(entries: tuple[Entry, ...]) -> Event:
            if case.digest in Releases.of(entries).approved:
                raise RefusedError("this registry has approved of the request before")
            return Event(kind=_REFUSE, body={"request": case.digest.hex(), "reason": reason})

        self._journal.record(decide, time=time)
        signature = self._identity.sign(refusal_statement(case.digest, self._name, reason))
        paper = Refusal(
            registry=self._name,
            request=case.digest,
            reason=reason,
            signature=signature,
            certificate=self._identity.certificate_pem,
        )
        self._board.post(case.digest, "refusal", bytes(paper))

    @property
    def _name(self) -> str:
        return self._identity.party.name

    def _known(self) -> dict[bytes, Filing]:
        with self._database.read() as connection:
            rows = connection.execute(select(REQUESTS).order_by(REQUESTS.c.seen)).mappings().all()
        return {row["request"]: Filing.from_bytes(row["filing"]) for row in rows}

    def _papers(self, digest: bytes) -> list[Paper]:
        """Read one topic; if the platform does not show it, that is no matter for the others."""
        try:
            return self._board.read(digest)
        except (RefusedError, ProtocolError):
            return []

    def _filing(self, digest: bytes) -> Filing | None:
        """Return the filing that opened a topic; None if it is not one of this network."""
        for paper in self._papers(digest):
            if paper.kind == "filing":
                try:
                    filing = Filing.from_bytes(paper.content)
                except ProtocolError:
                    continue
                if filing.request.digest == digest:
                    ours = filing.request.network == self._committee.network
                    return filing if ours else None
        return None

    def _keep(self, filing: Filing, *, time: datetime) -> None:
        row = {
            "request": filing.request.digest,
            "filing": bytes(filing),
            "seen": utc_text(time),
        }
        with self._database.write() as connection:
            connection.execute(REQUESTS.insert().prefix_with("OR IGNORE"), row)

    def _write_down(self, cases: Sequence[Case], *, time: datetime) -> None:
        """Write what is new about requests, whether or not this registry was asked."""
        written = _written(self._journal.entries())
        for case in cases:
            for event in self._events(case):
                if _key(event.kind, event.body) not in written:
                    self._once(event, time=time)

    def _events(self, case: Case) -> list[Event]:
        request, name = case.filing.request, case.digest.hex()
        committee = self._committees.get(request.committee)  # a handover may have come since
        if committee is None:
            return []
        others = case.topic.approvals.keys() & asked(committee, request) - {self._name}
        events = [
            Event(kind=_APPROVED, body={"request": name, "registry": other})
            for other in sorted(others)
        ]
        if authors := case.topic.issued(committee):
            events.append(Event(kind=_ISSUED, body={"request": name, "authors": authors}))
        for fetch in case.topic.fetches:
            if fetch.registry == self._name:
                fetched = Event(kind=_FETCHED, body={"request": name, "edition": fetch.edition})
                events.append(fetched)
        return events

    def _once(self, event: Event, *, time: datetime) -> None:
        def decide(entries: tuple[Entry, ...]) -> Event:
            if _key(event.kind, event.body) in _written(entries):
                raise _WrittenError
            return event

        with suppress(_WrittenError):  # another process was faster
            self._journal.record(decide, time=time)


def _check_month(filing: Filing, *, now: float) -> None:
    """Check that the key is for a month that the request leads up to, or lies in.

    A key of a month that has ended opens nothing that a registry shows, but old objects that the
    platform has kept: of patients, too, who have withdrawn since.

    Raises:
        RefusedError: The month has ended, or begins after the request ends.
    """
    first, last = days_of(filing.application.epoch)
    if datetime.fromtimestamp(now, UTC).date() > last:
        raise RefusedError(f"the month {filing.application.epoch} has ended; ask for this month")
    if datetime.fromtimestamp(filing.request.not_after, UTC).date() < first:
        raise RefusedError(f"the month {filing.application.epoch} begins after the request ends")


def _last_day(filing: Filing) -> date:
    """Return until when something may happen to a request."""
    end = datetime.fromtimestamp(filing.request.not_after, UTC).date()
    return max(end, days_of(filing.application.epoch)[1]) + _AFTERWARDS


class _WrittenError(Exception):
    """The journal has it."""


def _key(kind: str, body: Mapping[str, Json]) -> tuple[object, ...]:
    """What makes two events one."""
    return kind, body["request"], body.get("edition"), body.get("registry")


def _written(entries: Iterable[Entry]) -> set[tuple[object, ...]]:
    return {_key(e.kind, e.fields()) for e in entries if e.kind in _SEEN}
