"""`upcare authority`: the ceremonies in which registries make the key to sealed records."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from upcare_mpc.abe.committee import Committee
from upcare_mpc.access.committees import fingerprint
from upcare_mpc.access.seats import Proposal
from upcare_mpc.authority.ceremonies import Ceremonies, Waiting
from upcare_mpc.authority.committees import authority_folder
from upcare_mpc.cli.node import load_identity, open_database, party_option
from upcare_mpc.cli.processes import log_line
from upcare_mpc.config import load_agreement, load_party
from upcare_mpc.link.board import RegistryBoard

__all__ = ["authority"]

_FEW = 5
"""Below so many members, t is 1: any two registries open everything."""

patience_option = click.option(
    "--patience",
    type=click.IntRange(1, 7 * 24 * 3600),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for others.",
)


@click.group()
def authority() -> None:
    """Make the network's key with other registries, and hand it over."""


@authority.command()
@party_option
@click.option("--member", "members", multiple=True, required=True, help="Registry that is to hold.")
@click.option(
    "--threshold",
    type=click.IntRange(min=1),
    required=True,
    metavar="T",
    help="T hold nothing; any T + 1 together issue keys, and can open everything.",
)
@click.option("--hand-over", is_flag=True, help="From the present committee; the key stays.")
@click.option(
    "--dealer",
    "dealers",
    multiple=True,
    help="Member of the present committee that hands over; all of them unless named.",
)
@click.option("--join", "joins", is_flag=True, help="Join at once.")
@patience_option
def propose(
    folder: Path,
    members: tuple[str, ...],
    threshold: int,
    hand_over: bool,
    dealers: tuple[str, ...],
    joins: bool,
    patience: int,
) -> None:
    """Propose a ceremony; print its name. A handover to the same members renews their shares.

    Example: upcare authority propose --member de-a --member de-b --member de-c --threshold 1
    --party parties/de-a
    """
    if dealers and not hand_over:
        raise click.UsageError("--dealer goes with --hand-over")
    with _ceremonies(folder) as ceremonies:
        proposal = ceremonies.propose(
            members=members, threshold=threshold, hand_over=hand_over, dealers=dealers
        )
        click.echo(proposal.topic.hex())
        if joins:
            _join(ceremonies, proposal, patience)
        else:
            click.echo(f"each takes part: upcare authority join {_short(proposal)}", err=True)


@authority.command()
@party_option
@click.argument("name")
@patience_option
def join(folder: Path, name: str, patience: int) -> None:
    """Take part in a ceremony to its end. Stopped anywhere, the same command goes on.

    NAME is the first 6 digits of the ceremony's name, or more.

    Example: upcare authority join 3f2a9c01d4e5 --party parties/de-b
    """
    with _ceremonies(folder) as ceremonies:
        _join(ceremonies, ceremonies.find(name), patience)


@authority.command()
@party_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(folder: Path, as_json: bool) -> None:
    """Say who holds the key now, and which ceremonies wait for this registry.

    Example: upcare authority show --party parties/de-a
    """
    with _ceremonies(folder) as ceremonies:
        committees = ceremonies.committees()
        committee = committees[-1] if committees else None
        shares = list(ceremonies.shares.generations())
        waiting = [_waiting(each) for each in ceremonies.waiting()]
    if as_json:
        described = None if committee is None else _described(committee)
        report = {"committee": described, "shares": shares, "ceremonies": waiting}
        click.echo(json.dumps(report))
        return
    _show_committee(committee, shares)
    for each in waiting:
        state = "joined" if each["joined"] else "not joined"
        click.echo(f"ceremony {each['ceremony'][:12]}, {state}: {each['what']}")
        if each["waits_for"]:
            click.echo(f"  waits for {each['waits_for']}")


@authority.command()
@party_option
@click.argument("name")
def abandon(folder: Path, name: str) -> None:
    """Give up a ceremony that cannot end: erase what this registry holds of it.

    If it ends all the same, this registry has no share of what comes of it.

    Example: upcare authority abandon 3f2a9c01d4e5 --party parties/de-a
    """
    with _ceremonies(folder) as ceremonies:
        topic = ceremonies.abandon(name)
    click.echo(f"what was held of the ceremony {topic[:12]} is erased", err=True)


@contextmanager
def _ceremonies(folder: Path) -> Iterator[Ceremonies]:
    party = load_party(folder)
    identity = load_identity(party, now=_now())
    agreement = load_agreement(party.identity_folder)
    with open_database(party) as database, RegistryBoard(party.platform, identity) as board:
        yield Ceremonies(
            authority_folder(party.state_folder),
            board,
            identity,
            agreement.name,
            database,
            now=_now,
            tell=lambda text: log_line(party.name, text),
        )


def _join(ceremonies: Ceremonies, proposal: Proposal, patience: int) -> None:
    click.echo(f"{_short(proposal)}: {_what(proposal)}", err=True)
    count, t = len(proposal.members), proposal.threshold
    click.echo(f"any {t + 1} of these {count} together can open everything", err=True)
    if count < _FEW:
        click.echo(f"warning: with fewer than {_FEW} members, two are enough", err=True)
    committee = ceremonies.join(proposal, patience_s=patience)
    _show_committee(committee, list(ceremonies.shares.generations()))


def _show_committee(committee: Committee | None, shares: list[int]) -> None:
    if committee is None:
        click.echo("the network has no key yet")
        return
    click.echo(
        f"generation {committee.generation}: {', '.join(committee.members)}; "
        f"{committee.threshold + 1} of them issue a key"
    )
    held = "a" if committee.generation in shares else "no"
    click.echo(f"this registry has {held} share of it")
    for generation in shares:
        if generation != committee.generation:
            click.echo(f"erase state/authority/share-{generation}.key: it is of no more use")
    digits = fingerprint(committee)
    groups = [digits[at : at + 4] for at in range(0, len(digits), 4)]
    click.echo("fingerprint of the network's key, to compare by telephone:")
    click.echo(f"  {' '.join(groups[:8])}")
    click.echo(f"  {' '.join(groups[8:])}")


def _described(committee: Committee) -> dict[str, Any]:
    return {
        "generation": committee.generation,
        "members": list(committee.members),
        "threshold": committee.threshold,
        "digest": committee.digest.hex(),
        "fingerprint": fingerprint(committee),
    }


def _waiting(waiting: Waiting) -> dict[str, Any]:
    proposal = waiting.proposal
    return {
        "ceremony": proposal.topic.hex(),
        "proposer": proposal.proposer,
        "time": datetime.fromtimestamp(proposal.time, UTC).isoformat(),
        "members": list(proposal.members),
        "threshold": proposal.threshold,
        "dealers": list(proposal.dealers),
        "hands_over": bool(proposal.previous),
        "what": _what(proposal),
        "joined": waiting.joined,
        "waits_for": waiting.waits_for,
    }


def _what(proposal: Proposal) -> str:
    """Say in one line what a ceremony is to do, and who wants it."""
    members = f"{', '.join(proposal.members)}, threshold {proposal.threshold}"
    if not proposal.previous:
        return f"{proposal.proposer} proposes to make the network's key, held by {members}"
    return (
        f"{proposal.proposer} proposes that {', '.join(proposal.dealers)} hand the network's key "
        f"over to {members}"
    )


def _short(proposal: Proposal) -> str:
    return proposal.topic.hex()[:12]


def _now() -> datetime:
    return datetime.now(UTC)
