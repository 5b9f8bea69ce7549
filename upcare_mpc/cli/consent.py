"""`upcare consent`: what patients have said, as a registry's operator records and reads it."""

import datetime
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from upcare_mpc.cli import show
from upcare_mpc.cli.node import open_database, party_option
from upcare_mpc.config import PartyFile, WarehouseTable, load_party
from upcare_mpc.consent.diseases import categories
from upcare_mpc.consent.duo import GS, PERMISSIONS, PURPOSES
from upcare_mpc.consent.explain import LANGUAGES, explain
from upcare_mpc.consent.fhir import write_consent
from upcare_mpc.consent.gate import decide, status
from upcare_mpc.consent.model import Activity, Answer, Consent, Giver, Terms
from upcare_mpc.consent.use import Use
from upcare_mpc.errors import ConfigError, InputError
from upcare_mpc.node.consent_documents import UNREAD, Reading, next_version, read_documents
from upcare_mpc.node.consents import period
from upcare_mpc.node.snapshot import snapshots_of
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.patients import cases_of
from upcare_mpc.storage.snapshot_rows import pseudonym_of_named

__all__ = ["consent"]

_FORM = "urn:upcare:form:registry-1"
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_patient = click.option(
    "--patient", "patient_id", required=True, help="The registry's own patient id."
)
_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def consent() -> None:
    """Record and read what patients have said; nothing of it leaves the registry."""


@dataclass(frozen=True, slots=True)
class _Desk:
    """What is at hand for one command."""

    party: PartyFile
    consents: Consents
    secret: bytes

    def patient(self, patient_id: str) -> bytes:
        """The pseudonym of a patient."""
        return pseudonym_of_named(self.secret, patient_id)


@contextmanager
def _desk(folder: Path) -> Iterator[_Desk]:
    party = load_party(folder)
    secret = snapshots_of(party.data, party.state_folder).secret()
    with open_database(party) as database:
        yield _Desk(party, Consents(database), secret)


@consent.command("import")
@click.argument(
    "paths",
    type=click.Path(path_type=Path, exists=True),
    nargs=-1,
    required=True,
    metavar="PATH...",
)
@party_option
@click.option(
    "--activity",
    type=click.Choice(["statistics", "records", "both"]),
    default="records",
    show_default=True,
    help="What broad consents of hospitals are taken to be about.",
)
@_json
def import_(paths: tuple[Path, ...], folder: Path, *, activity: str, as_json: bool) -> None:
    """Record consents from FHIR files: all of them, or nothing.

    A PATH is a file *.json (a Consent or a Bundle) or *.ndjson, or a folder of them. Read are our
    own profile, as `upcare consent export` writes it, and broad consents of the German medical
    informatics initiative. A document that cannot be read may be a "no": its patient is taken to
    have refused until you have read it and said what it is with `upcare consent record`.

    Example: upcare consent import consents.ndjson --party parties/de-a
    """
    activities = list(Activity) if activity == "both" else [Activity(activity)]
    with _desk(folder) as desk:
        for one in activities:
            _check_activity(desk.party, one)
        reading = read_documents(
            paths,
            desk.consents.all(),
            pseudonym=desk.patient,
            data_set=desk.party.name,
            activities=activities,
            today=_now().date(),
        )
        for said in reading.new:
            if not said.form.startswith(UNREAD):
                _check_activity(desk.party, said.activity)
        new = desk.consents.record(reading.new, time=_now())
    if as_json:
        click.echo(json.dumps(_report(desk.party.name, reading, new)))
        return
    click.echo(
        f"{desk.party.name}: {new} answers recorded from {reading.documents} documents; "
        f"{reading.already} were recorded already, {reading.older} are older than what is recorded"
    )
    if reading.others:
        click.echo(f"{reading.others} files or resources are no consents, and were left out")
    for reason, count in sorted(reading.unread.items()):
        click.echo(f"not read, noted as a refusal until you have: {count} of {reason}")


@consent.command()
@party_option
@_patient
@click.option(
    "--activity",
    type=click.Choice([one.value for one in Activity]),
    required=True,
    help="Being counted in statistics, or the record being opened.",
)
@click.option(
    "--permission",
    type=click.Choice(list(PERMISSIONS)),
    help="Permitted: anything, research, health research, that on diseases, on ancestry.",
)
@click.option("--refuse", is_flag=True, help="Refused.")
@click.option("--withdraw", is_flag=True, help="Withdrawn.")
@click.option(
    "--disease", "diseases", multiple=True, metavar="C50|C18-C21", help="With DUO:0000007 only."
)
@click.option("--limit", "limits", multiple=True, metavar="DUO:...", help="May be repeated.")
@click.option("--region", "regions", multiple=True, metavar="DE", help="Only in these countries.")
@click.option("--from", "first_day", type=_DAY, metavar="DAY", help="First day; today if missing.")
@click.option(
    "--until", "last_day", type=_DAY, metavar="DAY", help="Last day; without end if missing."
)
@click.option(
    "--majority",
    type=_DAY,
    metavar="DAY",
    help="A guardian has answered; the patient is of age then.",
)
@click.option("--given", type=_DAY, metavar="DAY", help="Day of the answer; today if missing.")
@click.option("--form", default=_FORM, show_default=True, help="URI of the text that was answered.")
def record(
    folder: Path,
    patient_id: str,
    activity: str,
    permission: str | None,
    diseases: tuple[str, ...],
    limits: tuple[str, ...],
    regions: tuple[str, ...],
    first_day: datetime.datetime | None,
    last_day: datetime.datetime | None,
    majority: datetime.datetime | None,
    given: datetime.datetime | None,
    form: str,
    *,
    refuse: bool,
    withdraw: bool,
) -> None:
    """Record what a patient has said on paper or by telephone.

    It replaces all that the patient has said on this activity before, so state the whole of it.

    Example: upcare consent record --patient DE-A-0007 --activity records
    --permission DUO:0000007 --disease C50 --limit DUO:0000046 --until 2031-03-14
    """
    today = _now().date()
    day_given = _date(given) or today
    if day_given > today:
        raise InputError("--given: wanted a day not after today")
    answer = _answer(permission, refuse=refuse, withdraw=withdraw)
    terms = None
    if permission is not None:
        terms = Terms(
            permission=permission,
            limits=frozenset(limits) | ({GS} if regions else set()),
            diseases=categories(diseases) if diseases else None,
            regions=frozenset(regions) or None,
            first_day=_date(first_day) or today,
            last_day=_date(last_day),
        )
    elif diseases or limits or regions or first_day or last_day:
        raise InputError("--refuse and --withdraw are without limits and without days")
    with _desk(folder) as desk:
        _check_activity(desk.party, Activity(activity))
        who = desk.patient(patient_id)
        recorded = desk.consents.of(who)
        since = _last_day(recorded, Activity(activity))
        if terms is not None and since is not None and day_given < since:
            raise InputError(
                f"--given: the patient has answered since, on {since}; an older permission does "
                "not replace that"
            )
        said = Consent(
            patient=who,
            data_set=desk.party.name,
            activity=Activity(activity),
            version=next_version(recorded, Activity(activity)),
            answer=answer,
            terms=terms,
            giver=Giver.PATIENT if majority is None else Giver.GUARDIAN,
            majority=_date(majority),
            given=day_given,
            form=form,
        )
        desk.consents.record([said], time=_now())
        _warn_if_unknown(desk, who)
    show.talk.print(f"recorded: version {said.version} on {activity}, {answer}")
    if said.activity is Activity.STATISTICS:
        point = period(today, desk.party.data.consents)[1] + datetime.timedelta(days=1)
        show.talk.print(f"studies go by it from {point} on")
    else:
        show.talk.print("sealed records go by it from the next `upcare records seal` on")


@consent.command("show")
@party_option
@_patient
@click.option(
    "--language",
    type=click.Choice(LANGUAGES),
    default="en",
    show_default=True,
    help="Of sentences.",
)
@click.option(
    "--purpose",
    "purposes",
    multiple=True,
    metavar="DUO:...",
    help="What would hold for it; may be repeated. All that the policy accepts if missing.",
)
@_json
def show_(
    folder: Path, patient_id: str, language: str, purposes: tuple[str, ...], *, as_json: bool
) -> None:
    """Say what a patient has said, and what follows from it today for each purpose.

    The sentences are about a requester of whom nothing is certified.

    Example: upcare consent show --patient DE-A-0007 --language de --party parties/de-a
    """
    today = _now().date()
    with _desk(folder) as desk:
        said = desk.consents.of(desk.patient(patient_id))
    asked = sorted(purposes or desk.party.policy.purposes)
    if not PURPOSES.issuperset(asked):
        raise InputError("--purpose: wanted a purpose like DUO:0000007, got another code")
    decisions = []
    for activity in Activity:
        for purpose in asked:
            use = Use(activity=activity, data_set=desk.party.name, purposes=frozenset({purpose}))
            decision = decide(said, use, gate=desk.party.data.gate, day=today)
            decisions.append((activity, purpose, decision, explain(decision, language)))
    if as_json:
        report = {
            "registry": desk.party.name,
            "answers": [
                {**json.loads(one.canonical()), "status": status(one, said, day=today)}
                for one in said
            ],
            "decisions": [
                {
                    "activity": activity,
                    "purpose": purpose,
                    "permitted": decision.permitted,
                    "reason": decision.reason,
                    "sentence": sentence,
                }
                for activity, purpose, decision, sentence in decisions
            ],
        }
        click.echo(json.dumps(report))
        return
    for one in said:
        click.echo(
            f"{one.activity}, version {one.version} of {one.given}: {one.answer}, "
            f"now {status(one, said, day=today)}, form {one.form}"
        )
    if not said:
        click.echo("this patient has said nothing")
    for activity, purpose, _, sentence in decisions:
        click.echo(f"{activity}, {purpose}: {sentence}")


@consent.command()
@party_option
@_patient
def export(folder: Path, patient_id: str) -> None:
    """Print all that a patient has said, as one FHIR Bundle of Consent resources.

    Example: upcare consent export --patient DE-A-0007 --party parties/de-a
    """
    with _desk(folder) as desk:
        said = desk.consents.of(desk.patient(patient_id))
    entries = [{"resource": json.loads(write_consent(one))} for one in said]
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "collection"}
    click.echo(json.dumps(bundle | ({"entry": entries} if entries else {}), indent=2))


def _check_activity(party: PartyFile, activity: Activity) -> None:
    if activity is Activity.STATISTICS and isinstance(party.data.source, WarehouseTable):
        raise ConfigError(
            "party.toml: data.warehouse: studies count all of its table, whatever is said here; "
            "fill it without patients who have objected"
        )


def _answer(permission: str | None, *, refuse: bool, withdraw: bool) -> Answer:
    if [permission is not None, refuse, withdraw].count(True) != 1:
        raise InputError("wanted one of --permission, --refuse and --withdraw")
    if permission is not None:
        return Answer.PERMITTED
    return Answer.REFUSED if refuse else Answer.WITHDRAWN


def _last_day(recorded: Iterable[Consent], activity: Activity) -> datetime.date | None:
    """The day of the last answer on an activity, but for documents that nobody has read."""
    read = [one for one in recorded if not one.form.startswith(UNREAD)]
    return max((one.given for one in read if one.activity is activity), default=None)


def _warn_if_unknown(desk: _Desk, patient: bytes) -> None:
    """An objection under a mistyped id would change nothing, and nobody would notice."""
    if isinstance(desk.party.data.source, WarehouseTable):
        return
    snapshots = snapshots_of(desk.party.data, desk.party.state_folder)
    if snapshots.current() is None:
        show.talk.print("no snapshot is in force yet that could tell whether this patient is known")
    elif not cases_of(snapshots, patient):
        show.talk.print("take care: the snapshot in force has no record under this patient id")


def _report(registry: str, reading: Reading, new: int) -> dict[str, Any]:
    return {
        "registry": registry,
        "documents": reading.documents,
        "recorded": new,
        "already": reading.already,
        "older": reading.older,
        "others": reading.others,
        "unread": dict(sorted(reading.unread.items())),
    }


def _date(moment: datetime.datetime | None) -> datetime.date | None:
    return None if moment is None else moment.date()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
