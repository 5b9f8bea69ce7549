"""`upcare records`: a registry's records, sealed at a platform that can open none."""

import datetime
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from upcare_mpc.abe.keys import PublicKey
from upcare_mpc.authority.committees import committee_in_force
from upcare_mpc.cli import show
from upcare_mpc.cli.node import load_identity, open_database, party_option
from upcare_mpc.config import PartyFile, load_agreement, load_party
from upcare_mpc.errors import DataError
from upcare_mpc.link.board import RegistryBoard
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.vaults import KeptVault
from upcare_mpc.node.sealing import Records, sealable
from upcare_mpc.node.snapshot import snapshots_of
from upcare_mpc.node.vault import Held, RegistryVault, Sealed
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.receipts import Receipts
from upcare_mpc.storage.snapshot_rows import pseudonym_of_named

__all__ = ["records", "seal_edition"]

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group()
def records() -> None:
    """Seal the records that patients have allowed to be opened; exact counts stay here."""


@records.command()
@party_option
@click.option(
    "--anew",
    is_flag=True,
    help="Seal all records from the beginning, after keys or objects were lost.",
)
@_json
def seal(folder: Path, *, anew: bool, as_json: bool) -> None:
    """Seal today's edition of the vault and bring it to the platform.

    Run it once a day, at a fixed hour, whether or not anything has changed. After an interruption,
    say the same again: it goes on where it was.

    Example: upcare records seal --party parties/de-a
    """
    sealed, unsealed = seal_edition(folder, now=_now, anew=anew)
    if as_json:
        click.echo(json.dumps(_report(sealed, unsealed)))
        return
    _print(sealed, unsealed)


@records.command()
@party_option
@_json
def check(folder: Path, *, as_json: bool) -> None:
    """Say whether the platform holds the edition in force, and nothing else.

    Example: upcare records check --party parties/de-a
    """
    party = load_party(folder)
    with _vault(party, _now) as (vault, _, _):
        held = vault.check()
    if as_json:
        report = {
            "registry": party.name,
            "edition": held.edition,
            "day": held.day.isoformat(),
            "objects": held.objects,
            "same_head": held.same_head,
            "missing": held.missing,
            "left_over": held.left_over,
        }
        click.echo(json.dumps(report))
    if not held.whole:
        raise DataError(_differences(held))
    if not as_json:
        click.echo(
            f"{party.name}: the platform holds edition {held.edition} of {held.day}: "
            f"all of its {held.objects} objects, and no other"
        )


@records.command()
@party_option
@click.option("--patient", "patient_id", required=True, help="The registry's own patient id.")
def receipts(folder: Path, patient_id: str) -> None:
    """Print a patient's receipts for records that left the vault, one a line.

    Example: upcare records receipts --patient DE-A-0007 --party parties/de-a
    """
    party = load_party(folder)
    secret = snapshots_of(party.data, party.state_folder).secret()
    with open_database(party) as database:
        found = Receipts(database).of(pseudonym_of_named(secret, patient_id))
    for receipt in found:
        click.echo(receipt)
    if not found:
        click.echo("there is no receipt for this patient", err=True)


def seal_edition(
    folder: Path, *, now: Callable[[], datetime.datetime], anew: bool = False
) -> tuple[Sealed, Mapping[str, int]]:
    """Seal the edition of a day and bring it to the platform, as `upcare records seal` does.

    Args:
        folder: The party folder.
        now: The clock, in UTC.
        anew: Seal everything from the beginning.

    Returns:
        What it came to, and how many patients are sealed for nobody, by reason. Secret.

    Raises:
        UpcareError: As ``node.vault.RegistryVault.seal``; or the network has no key.
    """
    party = load_party(folder)
    with _vault(party, now) as (vault, identity, consents):
        snapshots = sealable(party.data, party.state_folder)
        found = Records(snapshots, consents.all(), registry=party.name)
        public = _public_key(party, identity)
        show.talk.print("sealing and uploading ...")
        sealed = vault.seal(found.wanted, public=public, random=os.urandom, anew=anew)
    return sealed, found.unsealed


@contextmanager
def _vault(
    party: PartyFile, now: Callable[[], datetime.datetime]
) -> Iterator[tuple[RegistryVault, Identity, Consents]]:
    """The vault of a party, reached at the platform too."""
    identity = load_identity(party, now=now())
    with open_database(party) as database, KeptVault(party.platform, identity) as platform:
        folder = party.state_folder / "vault"
        vault = RegistryVault(folder, platform, database, identity, now=now)
        yield vault, identity, Consents(database)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _public_key(party: PartyFile, identity: Identity) -> PublicKey:
    agreement = load_agreement(party.identity_folder)
    with RegistryBoard(party.platform, identity) as board:
        committee = committee_in_force(
            board, identity.network, agreement.name, state=party.state_folder
        )
    return committee.public


def _report(sealed: Sealed, unsealed: Mapping[str, int]) -> dict[str, object]:
    return {
        "registry": sealed.registry,
        "edition": sealed.edition,
        "day": sealed.day.isoformat(),
        "fresh": sealed.fresh,
        "patients": sealed.patients,
        "policies": sealed.policies,
        "departed": sealed.departed,
        "uploaded_bytes": sealed.uploaded_bytes,
        "not_sealed": dict(unsealed) if sealed.fresh else None,
    }


def _print(sealed: Sealed, unsealed: Mapping[str, int]) -> None:
    edition = f"edition {sealed.edition} of {sealed.day}"
    if sealed.fresh:
        click.echo(f"{sealed.registry}: {edition} is at the platform")
    else:
        click.echo(f"{sealed.registry}: {edition} was sealed before; it is at the platform")
    lines: list[tuple[int, str]] = [
        (sealed.patients, "patients sealed"),
        (sealed.policies, "policies they are sealed under"),
        (sealed.departed, "patients left with this edition"),
        (sealed.uploaded_bytes, "bytes uploaded"),
    ]
    if sealed.fresh:
        lines += [(count, f"not sealed: {why}") for why, count in sorted(unsealed.items())]
    for count, what in lines:
        click.echo(f"{count:12}  {what}")


def _differences(held: Held) -> str:
    found = []
    if not held.same_head:
        found.append("it shows another edition")
    if held.missing:
        found.append(f"of {held.objects} objects it has not {held.missing}")
    if held.left_over:
        found.append(f"left over from older ones: {held.left_over}")
    return (
        f"the platform does not hold edition {held.edition} of {held.day}: {', '.join(found)}; "
        "run `upcare records seal`"
    )
