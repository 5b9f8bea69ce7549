"""Which records are to be sealed, and under which policy: a snapshot, and what patients have said.

    snapshot in force -> payload of each patient (`vault.payload`)
    consents          -> policy of the month of each patient (`consent.compile`)

A patient whose permission no policy can express is sealed for nobody, as is one who has said
nothing. Patients who have said the same are worked out once.

An edition has room for 4096 policies. If patients have said more different things, those that most
have said are kept: the others are sealed for nobody, so that withdrawals still take effect.

Everything here is secret but the policies, which the platform sees, with the size of each group.
Cost: one pass over the snapshot to hold it against its digest, one to write payloads; memory for
one row group, and 200 bytes for each patient with a permission.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from upcare_mpc.config import Data, DataFiles, WarehouseTable
from upcare_mpc.consent.compile import compile_policy
from upcare_mpc.consent.gate import last_words
from upcare_mpc.consent.model import Activity, Consent, Terms
from upcare_mpc.errors import ConfigError, DataError, RefusedError
from upcare_mpc.node.freeze import freeze
from upcare_mpc.node.snapshot import snapshots_of
from upcare_mpc.records.variables import VARIABLES
from upcare_mpc.storage.partition import one_batch
from upcare_mpc.storage.snapshot import Snapshots
from upcare_mpc.vault.changes import Change
from upcare_mpc.vault.edition import MAX_GROUPS, MAX_HEAD_BYTES, epoch_of
from upcare_mpc.vault.payload import payloads
from upcare_mpc.vault.policies import policy_of
from upcare_mpc.vault.state import State

__all__ = ["Records", "sealable"]

_SILENT: Final = "there is no permission to open this record"
_UNWRITABLE: Final = "the record is too long, or has a code that is not ASCII"
_CROWDED: Final = "an edition has no room for so many different permissions"
_ROOT_BYTES: Final = 40  # of a group in a head, beside its policy
_FRAME_BYTES: Final = 1024  # of a head beside its groups, at most
_Said: TypeAlias = frozenset[tuple[Terms | None, date | None]]


class Records:
    """The records of a registry, as they are to be in the vault.

    Attributes:
        unsealed: Patients of the snapshot who are sealed for nobody, by reason; complete when all
            that is ``wanted`` was read. Secret.
    """

    def __init__(self, snapshots: Snapshots, consents: Iterable[Consent], *, registry: str) -> None:
        """Read nothing yet.

        Args:
            snapshots: Of the registry; the one in force counts.
            consents: All of them, those of a patient one behind the other; read once.
            registry: Its name, and that of its data set.
        """
        self._snapshots = snapshots
        self._consents = consents
        self._registry = registry
        self.unsealed: Counter[str] = Counter()

    def wanted(self, before: State, day: date) -> Iterator[Change]:
        """Every record that is to be in the edition of a day, with policy and payload.

        Args:
            before: What is sealed.
            day: Its month is the epoch of all policies.

        Raises:
            DataError: No snapshot is in force, or it cannot be read, or has other rows than its
                name says.
        """
        path = self._rows()
        policies, reasons = self._policies(day)
        kept = _with_room(policies, _shown(before, day))
        for rows in _row_groups(path):
            for patient, payload in payloads(rows):
                policy = policies.get(patient)
                if policy is None:
                    self.unsealed[reasons.get(patient, _SILENT)] += 1
                elif policy not in kept:
                    self.unsealed[_CROWDED] += 1
                elif payload is None:
                    self.unsealed[_UNWRITABLE] += 1
                else:
                    yield Change(pseudonym=patient, policy=policy, payload=payload)

    def _rows(self) -> Path:
        """The rows of the snapshot in force, held against its digest."""
        manifest = self._snapshots.current()
        if manifest is None:
            raise DataError("no snapshot is in force; run `upcare ingest` first")
        return self._snapshots.checked_rows(manifest)

    def _policies(self, day: date) -> tuple[dict[bytes, str], dict[bytes, str]]:
        """The policy of each patient, or the reason why there is none."""
        known: dict[tuple[int, _Said], tuple[str | None, str]] = {}
        policies: dict[bytes, str] = {}
        reasons: dict[bytes, str] = {}
        for patient, own in groupby(self._consents, key=lambda consent: consent.patient):
            words = last_words(own, data_set=self._registry, activity=Activity.RECORDS)
            said = len(words), frozenset((word.terms, word.majority) for word in words)
            if said not in known:
                known[said] = self._compiled(words, day)
            policy, reason = known[said]
            if policy is None:
                reasons[patient] = reason
            else:
                policies[patient] = policy
        return policies, reasons

    def _compiled(self, words: Iterable[Consent], day: date) -> tuple[str | None, str]:
        site = self._registry
        try:
            return str(compile_policy(words, data_set=site, site=site, day=day)), ""
        except RefusedError as refusal:
            return None, str(refusal).removeprefix("consent: ")


def sealable(data: Data, state: Path) -> Snapshots:
    """Return the snapshots of a registry; its files are frozen if there is none of them yet.

    Args:
        data: What it answers from.
        state: The node's state folder.

    Raises:
        ConfigError: It answers from a warehouse.
        DataError: A file is missing or not readable as a whole, or there is no such folder.
    """
    if isinstance(data.source, WarehouseTable):
        raise ConfigError(
            "party.toml: data.warehouse: records are sealed from a snapshot, and a table of a "
            "warehouse is none; run `upcare ingest` on the registry's files"
        )
    snapshots = snapshots_of(data, state)
    if isinstance(data.source, DataFiles) and snapshots.in_force() is None:
        freeze(data.source, snapshots.folder)
    return snapshots


def _row_groups(path: Path) -> Iterator[Any]:
    """Record batches of whole patients."""
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield one_batch(file.read_row_group(group, columns=["pseudonym", *VARIABLES]))
    except (OSError, pa.ArrowException):  # their texts may hold a path or a value
        raise DataError("the snapshot cannot be read") from None


def _shown(before: State, day: date) -> frozenset[str]:
    """Policies that the edition of a day shows in any case: those of its month so far."""
    if before.day is None or epoch_of(before.day) != epoch_of(day):
        return frozenset()
    return frozenset(
        str(policy_of(group.terms, registry=before.registry, epoch=epoch_of(day)))
        for group in before.groups
    )


def _with_room(policies: Mapping[bytes, str], shown: frozenset[str]) -> frozenset[str]:
    """The policies that an edition holds: those shown in any case, then the most frequent."""
    counts = Counter(policies.values())
    kept = list(shown)
    left = MAX_HEAD_BYTES - _FRAME_BYTES - sum(len(policy) + _ROOT_BYTES for policy in kept)
    for policy in sorted(counts.keys() - shown, key=lambda one: (-counts[one], one)):
        left -= len(policy) + _ROOT_BYTES
        if len(kept) == MAX_GROUPS or left < 0:
            break
        kept.append(policy)
    return frozenset(kept)
