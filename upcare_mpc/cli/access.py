"""`upcare access`: from a project to opened records, and what registries say to it.

A researcher asks, fetches and opens; a registry lists, approves or refuses, and issues. To approve
is a person's act; to issue is not, and may run in a loop.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from upcare_mpc.abe.committee import Committee
from upcare_mpc.authority.committees import authority_folder, committees_of_key
from upcare_mpc.authority.releases import Release, issue_all, repeated_randomness
from upcare_mpc.authority.requests import Case, Requests, check_filing
from upcare_mpc.authority.shares import Shares
from upcare_mpc.cli import access_show as show
from upcare_mpc.cli.node import load_identity, open_database, party_option
from upcare_mpc.cli.study import as_option
from upcare_mpc.client import access as client
from upcare_mpc.client.application_file import read_application
from upcare_mpc.client.committees import committee_in_force as committee_of_key
from upcare_mpc.client.opened_records import open_records
from upcare_mpc.client.request_folder import RequestFolder
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.config import PartyFile, load_agreement, load_party
from upcare_mpc.errors import InputError, LinkError, ProtocolError, RefusedError
from upcare_mpc.link.board import RegistryBoard, ResearcherBoard
from upcare_mpc.link.certificates import Identity
from upcare_mpc.storage.database import Database

__all__ = ["access"]

_DIGITS_AT_LEAST = 12  # fewer could be ground out by who wants another request approved
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_request = click.argument("digits", metavar="REQUEST")


@click.group()
def access() -> None:
    """Ask for, grant, and use keys to sealed records.

    REQUEST is the digest that `upcare access request` prints, or its first digits: six at least, at
    a registry twelve.
    """


# --- for researchers ----------------------------------------------------------------------------


@access.command()
@click.argument("file", type=click.Path(path_type=Path))
@as_option
def request(file: Path, folder: Path) -> None:
    """Ask for a key for a project; print the digest that names the request.

    The same file again finds the request that is in force.

    Example: upcare access request project.toml --as me
    """
    now = _now()
    application, validity = read_application(file, today=now.date(), salt=os.urandom(16))
    researcher = Researcher.load(folder)
    with _board(researcher) as board:
        committee = committee_of_key(
            board, researcher.network, researcher.agreement.name, folder=folder
        )
        asked, new = client.file_request(
            researcher, folder, application, committee, board, not_after=now + validity, now=now
        )
    click.echo(asked.digest.hex())
    wanted = f"{committee.threshold + 1} of {', '.join(committee.members)}"
    sites = ", ".join(application.registries)
    click.echo(
        f"{'filed' if new else 'filed before'}; it takes the approval of {sites}, and of {wanted}",
        err=True,
    )


@access.command()
@_request
@as_option
@_json
def status(digits: str, folder: Path, *, as_json: bool) -> None:
    """Say who has approved, refused and issued.

    Example: upcare access status 3f2a9c01 --as me
    """
    researcher, asked = Researcher.load(folder), RequestFolder.find(folder, digits)
    topic = client.read_topic_of(researcher, asked, now=_now())
    if as_json:
        click.echo(json.dumps(show.as_json(asked.filing, topic)))
        return
    _print(show.asked_lines(asked.filing), show.story_lines(topic))


@access.command()
@_request
@as_option
def fetch(digits: str, folder: Path) -> None:
    """Make the key of the fragments, and fetch the sealed records that it opens.

    Say it again for newer editions; what is here already is not fetched again.

    Example: upcare access fetch 3f2a9c01 --as me
    """
    researcher, asked, now = Researcher.load(folder), RequestFolder.find(folder, digits), _now()
    topic = client.read_topic_of(researcher, asked, now=now)
    key = asked.key()
    if key is None:
        collected = client.collect_key(researcher, asked, topic, os.urandom)
        for line in collected.bad:
            click.echo(line, err=True)
        key = collected.key
        if key is None:
            wanted, there = asked.committee.threshold + 1, ", ".join(collected.good) or "none"
            raise RefusedError(f"a key takes fragments of {wanted} members, there is: {there}")
        asked.keep_key(key)
    client.fetch(researcher, folder, asked, topic, key, now=now, tell=click.echo)


@access.command(name="open")
@_request
@as_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Parquet file to write; the label lies beside it.",
)
@_json
def open_(digits: str, folder: Path, out: Path, *, as_json: bool) -> None:
    """Open what was fetched: a Parquet file, and a label that says what may be done with it.

    Asks nobody. Nothing is written unless everything opens.

    Example: upcare access open 3f2a9c01 --as me --out records.parquet
    """
    opened = open_records(RequestFolder.find(folder, digits), out)
    label = opened.content
    if as_json:
        click.echo(json.dumps(label))
        return
    names = ", ".join(f"{one['name']} {one['records']}" for one in label["registries"])
    click.echo(f"{label['records']} records with {label['tumours']} tumours: {names}")
    click.echo(f"wrote {opened.records.name} and {opened.label.name}")
    _print(label["duties"])


# --- for registries -----------------------------------------------------------------------------


@access.command(name="list")
@party_option
@_json
def list_(folder: Path, *, as_json: bool) -> None:
    """List the requests of the network, and what stands against them here.

    Example: upcare access list --party parties/de-a
    """
    with _desk(folder) as desk:
        now = _now()
        cases = desk.requests.sync(time=now)
        against = {case.digest: desk.against(case, now=now) for case in cases}
        warning = repeated_randomness(cases)
    if as_json:
        report = [
            show.as_json(case.filing, case.topic) | {"against": against[case.digest]}
            for case in cases
        ]
        click.echo(json.dumps({"registry": desk.party.name, "requests": report}))
    for case in cases if not as_json else ():
        _print(
            show.asked_lines(case.filing),
            [f"  {'asked by':12}  {show.certified_words(case.filing, desk.party.policy)}"],
            show.story_lines(case.topic),
            [f"  {'against it':12}  {words}" for words in [against[case.digest]] if words],
        )
    _warn(warning)


@access.command()
@_request
@party_option
def approve(digits: str, folder: Path) -> None:
    """Approve one request, after a person has read it; what is approved is shown.

    Example: upcare access approve 3f2a9c01d4e5 --party parties/de-a
    """
    with _desk(folder) as desk:
        now = _now()
        case = _found(desk.requests.sync(time=now), digits)
        _print(
            show.asked_lines(case.filing),
            [f"  {'asked by':12}  {show.certified_words(case.filing, desk.party.policy)}"],
        )
        new = desk.requests.approve(case, policy=desk.party.policy, time=now)
    done = "approves" if new else "has approved before"
    click.echo(f"{desk.party.name} {done}: {case.digest.hex()[:12]}", err=True)


@access.command()
@_request
@party_option
@click.option("--reason", required=True, help="One line for the researcher.")
def refuse(digits: str, folder: Path, reason: str) -> None:
    """Refuse one request, for all who read its topic.

    Example: upcare access refuse 3f2a9c01d4e5 --reason "the vote has ended" --party parties/de-a
    """
    with _desk(folder) as desk:
        now = _now()
        case = _found(desk.requests.sync(time=now), digits)
        desk.requests.refuse(case, reason=reason, time=now)
    click.echo(f"{desk.party.name} refuses: {case.digest.hex()[:12]}", err=True)


@access.command()
@party_option
@click.option(
    "--watch",
    "seconds",
    type=click.IntRange(1, 86400),
    help="Do it again after so many seconds, until interrupted.",
)
def issue(folder: Path, seconds: int | None) -> None:
    """Let out this registry's fragment for each request that all who have to have approved.

    Also takes in what happened on the board, for the journal: with --watch it is what every
    registry runs beside its node, in the committee or not.

    Example: upcare access issue --party parties/de-a --watch 60
    """
    while True:
        try:
            _issue(folder)
        except (LinkError, RefusedError, ProtocolError) as error:  # of the platform, this time
            if seconds is None:
                raise
            click.echo(f"{error}; trying again", err=True)
        if seconds is None:
            return
        time.sleep(seconds)


def _issue(folder: Path) -> None:
    with _desk(folder) as desk:
        now = _now()
        cases = desk.requests.sync(time=now)
        released: list[Release] = []
        if desk.party.name in desk.committee.members:
            released = issue_all(
                cases,
                database=desk.database,
                board=desk.board,
                identity=desk.identity,
                policy=desk.party.policy,
                committee=desk.committee,
                share=Shares(authority_folder(desk.party.state_folder)).load(desk.committee),
                time=now,
            )
    for release in released:
        reason = f": {release.reason}" if release.reason else ""
        click.echo(f"{release.case.digest.hex()[:12]}  {release.outcome}{reason}")
    _warn(repeated_randomness(cases))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """A registry at work on requests."""

    party: PartyFile
    identity: Identity
    database: Database
    board: RegistryBoard
    committees: list[Committee]

    @property
    def requests(self) -> Requests:
        return Requests(self.database, self.board, self.identity, self.committees)

    @property
    def committee(self) -> Committee:
        """The one in force."""
        return self.committees[-1]

    def against(self, case: Case, *, now: datetime) -> str | None:
        """What stands against a request here, if anything."""
        try:
            check_filing(
                case.filing,
                registry=self.party.name,
                policy=self.party.policy,
                committee=self.committee,
                now=now.timestamp(),
            )
        except RefusedError as error:
            return str(error)
        return None


@contextmanager
def _desk(folder: Path) -> Iterator[_Desk]:
    party = load_party(folder)
    identity = load_identity(party, now=_now())
    agreement = load_agreement(party.identity_folder)
    with open_database(party) as database, RegistryBoard(party.platform, identity) as board:
        yield _Desk(
            party=party,
            identity=identity,
            database=database,
            board=board,
            committees=committees_of_key(
                board, identity.network, agreement.name, state=party.state_folder
            ),
        )


def _board(researcher: Researcher) -> ResearcherBoard:
    return ResearcherBoard(researcher.platform, researcher.network, researcher.signing)


def _found(cases: Sequence[Case], digits: str) -> Case:
    if len(digits) < _DIGITS_AT_LEAST:
        raise InputError(f"a request is named by {_DIGITS_AT_LEAST} digits of it or more")
    found = [case for case in cases if case.digest.hex().startswith(digits.lower())]
    if len(found) != 1:
        many = "more than one request begins" if found else "no request on the board begins"
        raise InputError(f"{many} with {digits[:64]!a}")
    return found[0]


def _print(*parts: Iterator[str] | Sequence[str]) -> None:
    for part in parts:
        for line in part:
            click.echo(line)


def _warn(warning: str | None) -> None:
    if warning is not None:
        click.echo(f"warning: {warning}", err=True)


def _now() -> datetime:
    return datetime.now(UTC)
