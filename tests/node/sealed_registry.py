"""A registry with a snapshot, patients who say something, and a vault; the platform is a store.

Patient ``n`` has the registry's own id ``p<n>`` and is known again by 1000 + n days of follow-up.
"""

import os
from collections import Counter
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from cryptography import x509
from frozen_cases import case_rows
from said import no, permission
from vault_world import PUBLIC, MemoryStore, reader

from upcare_mpc.abe.policy import parse
from upcare_mpc.consent.model import Consent
from upcare_mpc.link.certificates import (
    Identity,
    Network,
    new_authority,
    verify_signature,
)
from upcare_mpc.node.sealing import Records
from upcare_mpc.node.vault import RegistryVault, Sealed
from upcare_mpc.records.case import Case
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.receipts import Receipts
from upcare_mpc.storage.schema import NODE
from upcare_mpc.storage.snapshot import Account, Snapshots, Sources
from upcare_mpc.storage.snapshot_rows import pseudonym
from upcare_mpc.vault.edition import HEAD, MAX_HEAD_BYTES, Edition
from upcare_mpc.vault.opening import check_head, open_group
from upcare_mpc.vault.store import Store

__all__ = ["MONDAY", "SealedRegistry"]

MONDAY = date(2026, 11, 2)
_SOURCES = Sources(files=(), rules=1, complete=(), encr_missing={}, deletions="")
_ACCOUNT = Account(messages=0, replaced=0, rejected={}, remarks={}, formats={})


class SealedRegistry:
    """One registry. Close it at the end."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "de-a",
        identity: Identity | None = None,
        platform: Store | None = None,
    ) -> None:
        self.folder = folder
        self.name = name
        self.today = MONDAY
        self.platform = MemoryStore() if platform is None else platform
        folder.mkdir(parents=True, exist_ok=True)
        self.identity = identity or _identity_of(name)
        self.database = Database(f"sqlite:///{folder / 'node.db'}", NODE)
        self.consents = Consents(self.database)
        self.receipts = Receipts(self.database)
        self.snapshots = Snapshots(folder / "snapshots")
        self.unsealed: Counter[str] = Counter()

    def close(self) -> None:
        self.database.close()

    def now(self) -> datetime:
        return datetime.combine(self.today, time(3), UTC)

    def freeze(self, *patients: int, **tumour: Any) -> None:
        """Put a snapshot of these patients in force; all have what is stated besides."""
        cases = [
            Case(
                patient_id=f"p{n}",
                tumour_id="t",
                sequence=1,
                **{"follow_up_days": 1000 + n, **tumour},
            )
            for n in patients
        ]
        with self.snapshots.writing():
            self.snapshots.write(
                case_rows(cases, secret=self.snapshots.secret(), size=7),
                _SOURCES,
                lambda: _ACCOUNT,
                self.now(),
            )

    def pseudonym(self, patient: int) -> bytes:
        return pseudonym(self.snapshots.secret(), f"p{patient}")

    def permit(self, *patients: int, **said: Any) -> None:
        """These patients allow their records to be opened; the terms are those of ``said.py``."""
        self._record(*(permission(**{**self._next(n), **said}) for n in patients))

    def withdraw(self, *patients: int) -> None:
        self._record(*(no(**self._next(n)) for n in patients))

    @property
    def vault(self) -> RegistryVault:
        return RegistryVault(
            self.folder / "vault", self.platform, self.database, self.identity, now=self.now
        )

    def seal(self, *, anew: bool = False) -> Sealed:
        """Run as the command does."""
        found = Records(self.snapshots, self.consents.all(), registry=self.name)
        self.unsealed = found.unsealed
        return self.vault.seal(found.wanted, public=PUBLIC, random=os.urandom, anew=anew)

    def on(self, day: date, *, anew: bool = False) -> Sealed:
        self.today = day
        return self.seal(anew=anew)

    @property
    def edition(self) -> Edition:
        """What the platform shows, as a reader checks it."""
        head = self.platform.get(HEAD, at_most=MAX_HEAD_BYTES)
        assert head is not None
        edition, _ = check_head(
            head, registry=self.name, verify=self.verify, earliest=date.min, seen=None
        )
        return edition

    def verify(self, said: bytes, signature: bytes) -> None:
        certificate = x509.load_pem_x509_certificate(self.identity.certificate_pem)
        verify_signature(certificate, said, signature)

    def opened(self, *attributes: str, key: Any = None) -> list[int]:
        """The patients whose records a key opens at the platform."""
        found = []
        for root in self.edition.groups:
            held = key or reader(root, *attributes)
            if parse(root.place.policy).holds_for(frozenset(held.attributes)):
                for batch in open_group(PUBLIC, held, self.platform, root):
                    found += [days - 1000 for days in batch["follow_up_days"].to_pylist()]
        return sorted(found)

    def journal(self, kind: str) -> list[dict[str, Any]]:
        entries = SqlJournal(self.database).entries()
        return [entry.fields() for entry in entries if entry.kind == kind]

    def _next(self, patient: int) -> dict[str, Any]:
        who = self.pseudonym(patient)
        return {
            "patient": who,
            "data_set": self.name,
            "version": 1 + len(self.consents.of(who)),
        }

    def _record(self, *consents: Consent) -> None:
        self.consents.record(consents, time=self.now())


def _identity_of(name: str) -> Identity:
    """Certificate and key of a registry that has a network to itself."""
    now = datetime.combine(MONDAY, time(3), UTC)
    authority = new_authority("net", now=now)
    certificate, key = authority.admit(name, "registry", now=now)
    network = Network(authority.certificate_pem)
    party, _ = network.verify(certificate.decode(), now=now)
    return Identity(party=party, network=network, certificate_pem=certificate, key_pem=key)
