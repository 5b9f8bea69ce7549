"""Everything that a registry can tell one patient, and the one thing that she can tell it.

The page and ``upcare patient show`` are two faces of this. It reads the node's database and the
snapshot in force; it writes consents, and nothing else. It knows patients by pseudonym.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from upcare_mpc.config import PartyFile, WarehouseTable
from upcare_mpc.consent.fhir import write_consent
from upcare_mpc.consent.gate import Gate
from upcare_mpc.consent.model import Activity, Consent
from upcare_mpc.errors import ConfigError, DataError, RefusedError
from upcare_mpc.node.consents import period
from upcare_mpc.node.snapshot import snapshots_of
from upcare_mpc.records.case import Case
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.patients import cases_of, recorded_days
from upcare_mpc.storage.receipts import Receipts
from upcare_mpc.storage.tickets import Tickets
from upcare_mpc.web.choices import Choice, next_consent
from upcare_mpc.web.language import Language
from upcare_mpc.web.record import illness_of
from upcare_mpc.web.standing import Standing, standing
from upcare_mpc.web.uses import AnswerUse, ProjectUse, StudyUse, answer, projects, studies

__all__ = ["FORM_VERSION", "Dossier", "Registry"]

FORM_VERSION = 1
"""Of the text that is answered; raised whenever it changes (``tests/web/test_form_text.py``)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Dossier:
    """One patient, as this registry knows her today. Secret.

    Attributes:
        patient: Pseudonym.
        cases: Her tumours in the snapshot in force; None if it cannot be read. She can answer all
            the same.
        consents: All that she has said, oldest first.
        receipts: Of withdrawals from the vault, oldest first.
        today: The day.
    """

    patient: bytes
    cases: tuple[Case, ...] | None
    consents: tuple[Consent, ...]
    receipts: tuple[str, ...]
    today: date

    @property
    def illness(self) -> frozenset[str]:
        """What "my illness" means, as ICD-10 categories; empty if it cannot be said."""
        return illness_of(self.cases or ())

    def document(self, digest: str) -> bytes | None:
        """Return one of her consents as a FHIR resource, by the beginning of its digest."""
        for consent in self.consents:
            if consent.digest.hex()[:16] == digest:
                return write_consent(consent)
        return None


class Registry:
    """One registry's side of the page; safe for several threads."""

    def __init__(
        self, party: PartyFile, database: Database, *, clock: Callable[[], datetime]
    ) -> None:
        """Open it.

        Args:
            party: Whose.
            database: The node's.
            clock: Gives the time, UTC.

        Raises:
            ConfigError: It answers from a warehouse, which no patient's answer reaches.
            DataError: There is no folder of snapshots.
        """
        if isinstance(party.data.source, WarehouseTable):
            raise ConfigError(
                "party.toml: data.warehouse: studies count all of its table, whatever patients say "
                "here; the patients' page is for a registry with snapshots"
            )
        self.name = party.name
        self.clock = clock
        self.database = database
        self._data = party.data
        self._snapshots = snapshots_of(party.data, party.state_folder)
        self._consents = Consents(database)
        self._receipts = Receipts(database)
        self._answering = threading.Lock()

    def dossier(self, patient: bytes) -> Dossier:
        """Look up a patient."""
        return Dossier(
            patient=patient,
            cases=self._cases(patient),
            consents=self._consents.of(patient),
            receipts=self._receipts.of(patient),
            today=self.clock().date(),
        )

    def _cases(self, patient: bytes) -> tuple[Case, ...] | None:
        try:
            return cases_of(self._snapshots, patient)
        except DataError:
            return None

    def standing(self, dossier: Dossier, activity: Activity, language: Language) -> Standing:
        """Say what is in force for a patient."""
        return standing(
            dossier.consents,
            activity,
            data_set=self.name,
            gate=self.gate,
            illness=dossier.illness,
            today=dossier.today,
            language=language,
        )

    @property
    def gate(self) -> Gate:
        """What holds for statistics if a patient has said nothing."""
        return self._data.gate

    @property
    def next_freeze(self) -> date:
        """The first day on which studies go by what is said today."""
        return period(self.clock().date(), self._data.consents)[1] + timedelta(days=1)

    def studies(self, dossier: Dossier, language: Language) -> tuple[StudyUse, ...]:
        """Return the studies that ask about the patient's group."""
        return studies(self.database, dossier.cases or (), language)

    def answers(self, dossier: Dossier, language: Language) -> tuple[AnswerUse, ...]:
        """Return the questionnaires for which the patient has a ticket, the latest first."""
        own = Tickets(self.database).of(dossier.patient)
        return tuple(answer(given, language) for given in own)

    def projects(self, dossier: Dossier, language: Language) -> tuple[ProjectUse, ...]:
        """Return the projects that this registry has approved of."""
        days = recorded_days(self.database, dossier.patient)
        return projects(
            self.database,
            SqlJournal(self.database).entries(),
            {consent: days[consent.digest] for consent in dossier.consents},
            registry=self.name,
            language=language,
        )

    def answer(
        self,
        patient: bytes,
        choices: dict[Activity, Choice],
        *,
        seen: dict[Activity, int],
        language: str,
    ) -> int:
        """Record what a patient has answered.

        Args:
            patient: Pseudonym.
            choices: What was ticked for each activity.
            seen: For each activity the version that stood on the page when it was ticked.
            language: Of the page.

        Returns:
            How many of the answers were new.

        Raises:
            RefusedError: Somebody has answered meanwhile; nothing is recorded.
        """
        with self._answering:
            dossier = self.dossier(patient)
            new = []
            for activity, choice in choices.items():
                consent = next_consent(
                    dossier.consents,
                    choice,
                    patient=patient,
                    data_set=self.name,
                    activity=activity,
                    illness=dossier.illness,
                    today=dossier.today,
                    form=f"urn:upcare:patient-page:{FORM_VERSION}:{language}",
                )
                if consent is None:
                    continue
                if consent.version != seen[activity] + 1:
                    raise RefusedError("somebody has answered meanwhile")
                new.append(consent)
            return self._consents.record(new, time=self.clock().astimezone(UTC))
