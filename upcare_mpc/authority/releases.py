"""Fragments leave: of requests that this registry, t + 1 members and all sites have approved of.

    release    journal and sealed fragment in one transaction, then the paper on the board

A crash costs nothing: what is in the table is posted again, the same bytes. Nothing is ever sealed
twice for a request, and the rules are ``abe.release``'s. The fragment is in this process's memory
while it is sealed; on the disk and on the board it is sealed to the researcher.

To be run again and again: it waits for nobody, and each step may be repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.abe.issuance import Fragment
from upcare_mpc.abe.release import Releases, check_randomness
from upcare_mpc.access.papers import SealedFragment, fragment_statement
from upcare_mpc.access.sealing import seal
from upcare_mpc.authority.requests import Case, check_filing
from upcare_mpc.config import Policy
from upcare_mpc.errors import PrivacyError, ProtocolError, RefusedError
from upcare_mpc.journal import Entry, Event
from upcare_mpc.link.board import RegistryBoard
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.signers import certifier
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.schema import FRAGMENTS

__all__ = ["Release", "issue_all", "repeated_randomness"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What became of one request that this registry has approved of.

    Attributes:
        case: The request.
        outcome: ``released``, ``sent again`` or ``waits``.
        reason: What it waits for.
    """

    case: Case
    outcome: str
    reason: str = ""


def issue_all(
    cases: Sequence[Case],
    *,
    database: Database,
    board: RegistryBoard,
    identity: Identity,
    policy: Policy,
    committee: Committee,
    share: Share,
    time: datetime,
) -> list[Release]:
    """Let out the fragment of each request for which nothing is missing.

    Args:
        cases: As ``Requests.sync`` returns them.
        database: This registry's.
        board: To post on.
        identity: This registry's.
        policy: This registry's, as it is now: who is no longer in it gets nothing more.
        committee: The present one.
        share: This registry's. Secret.
        time: Now, UTC.

    Returns:
        What became of each request that this registry approved of, has not been issued for by this
        registry on the board, and has not come to an end.

    Raises:
        PrivacyError: A fragment would repeat the randomness of an earlier one.
        LinkError: The board cannot be reached; nothing is lost.
    """
    journal = SqlJournal(database)
    releases = Releases.of(journal.entries())
    stored = _stored(database)
    name = identity.party.name
    done = []
    for case in cases:
        if case.digest not in releases.approved or name in case.topic.fragments:
            continue
        try:
            if case.digest in stored:
                board.post(case.digest, "fragment", stored[case.digest])
                done.append(Release(case=case, outcome="sent again"))
            elif time.timestamp() <= case.filing.request.not_after:
                now = time.timestamp()
                check_filing(
                    case.filing, registry=name, policy=policy, committee=committee, now=now
                )
                paper = _release(journal, case, identity, committee, share, time=time)
                board.post(case.digest, "fragment", paper)
                done.append(Release(case=case, outcome="released"))
        except (RefusedError, ProtocolError) as error:  # of this one, by a rule or by the board
            done.append(Release(case=case, outcome="waits", reason=str(error)))
    return done


def repeated_randomness(cases: Sequence[Case]) -> str | None:
    """Say whether two fragments on the board have one randomness, and whose they are.

    An alarm and no more. A member may write down another's on its own fragment, so it stops nobody;
    each registry refuses to repeat its own before a fragment leaves.
    """
    try:
        check_randomness(seen for case in cases for seen in case.topic.seen())
    except PrivacyError as error:
        return str(error)
    return None


def _release(
    journal: SqlJournal,
    case: Case,
    identity: Identity,
    committee: Committee,
    share: Share,
    *,
    time: datetime,
) -> bytes:
    """Make, seal and store one fragment; what is returned may leave."""
    request, papers = case.filing.request, case.topic.approvals
    certify = certifier(identity.network, now=time)
    made: list[bytes] = []

    def verify(registry: str, statement: bytes, signature: bytes) -> None:
        certify(papers[registry].certificate, statement, signature)  # which is the registry's

    def decide(entries: tuple[Entry, ...]) -> Event:
        fragment, event = Releases.of(entries).release(
            committee,
            share,
            request,
            case.topic.approvals_for(committee, request),
            verify=verify,
            now=time.timestamp(),
        )
        made.append(_paper(fragment, request.sealing_key, identity))
        return event

    def beside(connection: Connection) -> None:
        connection.execute(FRAGMENTS.insert(), {"request": request.digest, "paper": made[0]})

    journal.record(decide, time=time, beside=beside)
    return made[0]


def _paper(fragment: Fragment, sealing_key: bytes, identity: Identity) -> bytes:
    digest, author = fragment.request, fragment.author
    sealed = seal(bytes(fragment), sealing_key, use="fragment", digest=digest, names=(author,))
    signed = fragment_statement(digest, author, fragment.randomness, sealed)
    return bytes(
        SealedFragment(
            author=author,
            request=digest,
            randomness=fragment.randomness,
            sealed=sealed,
            signature=identity.sign(signed),
            certificate=identity.certificate_pem,
        )
    )


def _stored(database: Database) -> dict[bytes, bytes]:
    with database.read() as connection:
        return {row.request: row.paper for row in connection.execute(select(FRAGMENTS))}
