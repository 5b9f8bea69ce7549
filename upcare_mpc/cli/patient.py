"""`upcare patient`: let a patient in, serve the page, and say on a terminal what the page says."""

import contextlib
import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from upcare_mpc.cli.https import Place, serve_app
from upcare_mpc.cli.node import load_identity, open_database, party_option
from upcare_mpc.cli.processes import log_line, run_until_stopped
from upcare_mpc.config import PartyFile, load_agreement, load_party
from upcare_mpc.consent.model import Activity
from upcare_mpc.link.calls import registry_channel
from upcare_mpc.link.deposits import Depositor
from upcare_mpc.node.snapshot import snapshots_of
from upcare_mpc.node.tickets import TicketOffice
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.patients import CODE_LIFE, Visits
from upcare_mpc.storage.snapshot_rows import pseudonym_of_named
from upcare_mpc.web.app import create_app
from upcare_mpc.web.dossier import Registry
from upcare_mpc.web.language import LANGUAGES, language
from upcare_mpc.web.questionnaires import Questionnaires
from upcare_mpc.web.record import tumours

__all__ = ["patient"]

_LEAST_MINUTES = 15
_MOST_MINUTES = int(CODE_LIFE.total_seconds()) // 60
_CONNECTIONS = 64


@click.group()
def patient() -> None:
    """What a registry's patients can see and decide."""


@patient.command()
@click.argument("patient_id", metavar="ID")
@party_option
@click.option(
    "--minutes",
    type=click.IntRange(_LEAST_MINUTES, _MOST_MINUTES),
    default=60,
    show_default=True,
    help="How long the code can be used.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def code(patient_id: str, folder: Path, minutes: int, *, as_json: bool) -> None:
    """Print a one-time code for the patient's page; earlier codes and visits of this patient end.

    ID is the registry's own id of the patient. Whoever has the code is taken for this patient: make
    sure who it is, and hand it over, or send it, as you would a test result.

    Example: upcare patient code P-4711 --party parties/de-a --minutes 2880
    """
    party = load_party(folder)
    who = _pseudonym(party, patient_id)
    life = datetime.timedelta(minutes=minutes)
    with open_database(party) as database:
        known = Registry(party, database, clock=_now).dossier(who).cases
        now, visits = _now(), Visits(database)
        visits.end(who)
        printed = visits.invite(who, life=life, now=now)
    until = (now + life).isoformat(timespec="minutes")
    if as_json:
        click.echo(json.dumps({"code": printed, "expires": until}))
    else:
        click.echo(printed)
        click.echo(f"valid once, until {until}", err=True)
    if not known:
        click.echo("no record of this id is in force here; the code works all the same", err=True)


@patient.command()
@click.argument("patient_id", metavar="ID")
@party_option
@click.option(
    "--language",
    "spoken",
    type=click.Choice(LANGUAGES),
    default="en",
    show_default=True,
    help="Of the sentences.",
)
def show(patient_id: str, folder: Path, spoken: str) -> None:
    """Say what the page would show this patient.

    ID is the registry's own id of the patient. What a patient answers on paper is recorded with
    `upcare consent record`.

    Example: upcare patient show P-4711 --party parties/de-a --language de
    """
    party, words = load_party(folder), language(spoken)
    who = _pseudonym(party, patient_id)
    with open_database(party) as database:
        registry = Registry(party, database, clock=_now)
        dossier = registry.dossier(who)
        text = words.templates.get_template("show.txt").render(
            registry=party.name,
            standings=[
                registry.standing(dossier, activity, words)
                for activity in (Activity.RECORDS, Activity.STATISTICS)
            ],
            known=dossier.cases is not None,
            tumours=tumours(dossier.cases or (), words),
            projects=registry.projects(dossier, words),
            studies=registry.studies(dossier, words),
            answers=registry.answers(dossier, words),
        )
    click.echo(text, nl=False)


@patient.command()
@party_option
@click.option(
    "--listen",
    default="127.0.0.1:0",
    show_default=True,
    metavar="HOST:PORT",
    help="Where the page waits; port 0 is any free one.",
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Certificate chain (PEM) of the page's name; without it the page listens on loopback.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Its private key (PEM).",
)
@click.option("--title", help="What patients call the registry; its name in party.toml if missing.")
@click.option("--with-parent", is_flag=True, hidden=True, help="Stop when standard input ends.")
def serve(
    folder: Path,
    listen: str,
    certificate: Path | None,
    key: Path | None,
    title: str | None,
    *,
    with_parent: bool,
) -> None:
    """Serve the patients' page of this registry, until stopped.

    Without a certificate the page is for this machine, or for a web server on it that speaks TLS
    and forwards.

    Example: upcare patient serve --party parties/de-a --listen 127.0.0.1:8443
    """
    party = load_party(folder)
    place = Place.of(listen, certificate, key)

    def log(text: str) -> None:
        log_line(party.name, text)

    async def work() -> None:
        with (
            open_database(party) as database,
            _questionnaires(party, database, log) as questionnaires,
            place.listening() as (waiting, url),
        ):
            registry, visits = Registry(party, database, clock=_now), Visits(database)
            app = create_app(registry, visits, questionnaires, title=title or party.name, log=log)
            log(f"the patients' page is at {url}/")
            if questionnaires is None:
                log("it offers no questionnaires: the party folder has no identity/")
            await serve_app(app, place, waiting, connections=_CONNECTIONS)

    run_until_stopped(work(), with_parent=with_parent)


@contextlib.contextmanager
def _questionnaires(
    party: PartyFile, database: Database, log: Callable[[str], None]
) -> Iterator[Questionnaires | None]:
    """What patients can answer; None where the registry has no identity in a network."""
    if not (party.identity_folder / "party.key").exists():
        yield None
        return
    identity = load_identity(party, now=_now())
    office = TicketOffice(party=party, identity=identity, database=database, clock=_now)
    with Questionnaires(
        office,
        load_agreement(party.identity_folder),
        lambda: Depositor(registry_channel(party.platform, identity)),
        log,
    ) as questionnaires:
        yield questionnaires


def _pseudonym(party: PartyFile, patient_id: str) -> bytes:
    return pseudonym_of_named(snapshots_of(party.data, party.state_folder).secret(), patient_id)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
