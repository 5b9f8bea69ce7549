"""Opening what was fetched, at home: one Parquet file, and a label that says what may be done.

    OUT                    one row a tumour: registry, record, and the variables of the record model
    OUT as .label.json     the data-use label; the file's metadata has it too, as ``upcare_label``

A record's number is the same in one registry's next edition and in no other registry. Both files
are mode 600, and there only if every record of every registry opened: until then they are called
``.new``. Opened records are personal data of patients. Nothing here takes them back: what a patient
withdraws later, the next edition no longer has.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from upcare_mpc.abe.keys import AttributeKey
from upcare_mpc.abe.policy import parse
from upcare_mpc.access.application import Application
from upcare_mpc.access.words import conditions, disease_words, purpose_words
from upcare_mpc.client.request_folder import Fetched, RequestFolder
from upcare_mpc.consent import duo
from upcare_mpc.consent.compile import days_of
from upcare_mpc.errors import ConfigError, InputError, ProtocolError, RefusedError
from upcare_mpc.storage.durable import flush
from upcare_mpc.vault.edition import HEAD, MAX_HEAD_BYTES, Edition, Root, epoch_of, open_head
from upcare_mpc.vault.opening import open_group
from upcare_mpc.vault.payload import OPENED

__all__ = ["Opened", "groups_of", "open_records"]

_VERSION: Final = 1
_SCHEMA: Final = pa.schema([("registry", pa.string()), *OPENED])
_REFUSAL: Final = "the sealed records do not open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was written.

    Attributes:
        records: The Parquet file.
        label: The label's file.
        content: The label, JSON-ready.
    """

    records: Path
    label: Path
    content: dict[str, Any]


def open_records(asked: RequestFolder, out: Path) -> Opened:
    """Open all records that were fetched for a request.

    Args:
        asked: The request.
        out: Where the Parquet file is to be; an older one is replaced.

    Raises:
        RefusedError: Key or records are not there yet.
        ProtocolError: Something does not open; nothing is written.
        ConfigError: The place cannot be written.
    """
    key, fetched = asked.key(), asked.fetched()
    if key is None or fetched is None:
        raise RefusedError("the records are not here yet; 'upcare access fetch' brings them")
    if out.suffix != ".parquet":
        raise InputError("opened records are written into a file that ends in .parquet")
    label_file = out.with_suffix(".label.json")
    fresh = [path.with_name(f"{path.name}.new") for path in (out, label_file)]
    try:
        label = _write(asked, key, fetched, fresh[0])
        fresh[1].touch(mode=0o600)
        fresh[1].write_text(json.dumps(label, indent=1, ensure_ascii=False) + "\n", "utf-8")
        for path in fresh:
            flush(path)
        fresh[1].replace(label_file)
        fresh[0].replace(out)
    except OSError:
        raise ConfigError(f"{out.name} cannot be written there") from None
    finally:
        for path in fresh:
            path.unlink(missing_ok=True)
    return Opened(records=out, label=label_file, content=label)


def groups_of(edition: Edition, epoch: str, key: AttributeKey) -> list[Root]:
    """Return the groups of an edition that a key opens.

    Raises:
        RefusedError: The edition is of another month than the key.
        ProtocolError: The key satisfies a policy that does not name this registry, or not this
            month; one text, that of records that do not open.
    """
    if epoch_of(edition.day) != epoch:
        raise RefusedError(
            f"the records of {edition.registry} are sealed for {epoch_of(edition.day)}, and the "
            f"key is for {epoch}; ask for a key of that month"
        )
    mine = frozenset(key.attributes)
    bound = (f"site:{edition.registry}", f"epoch:{epoch}")
    found = []
    for root in edition.groups:
        try:
            policy = parse(root.place.policy)
        except InputError:
            raise ProtocolError(_REFUSAL) from None
        if not policy.holds_for(mine):
            continue
        if any(policy.holds_for(mine - {attribute}) for attribute in bound):
            raise ProtocolError(_REFUSAL)
        found.append(root)
    return found


def _write(
    asked: RequestFolder, key: AttributeKey, fetched: dict[str, Fetched], path: Path
) -> dict[str, Any]:
    """Write the Parquet file with its label; return the label."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    registries = []
    # Without Arrow's own copy of the schema, readers find the label among the schema's metadata.
    with pq.ParquetWriter(path, _SCHEMA, compression="zstd", store_schema=False) as writer:
        for name in asked.application.registries:
            groups = [
                _write_group(asked, key, root, writer)
                for root in _roots(asked, key, fetched[name], name)
            ]
            registries.append(
                {
                    "name": name,
                    "edition": fetched[name].edition,
                    "day": fetched[name].day.isoformat(),
                    "records": sum(group["records"] for group in groups),
                    "tumours": sum(group["tumours"] for group in groups),
                    "groups": groups,
                }
            )
        label = _label(asked, registries)
        writer.add_key_value_metadata({"upcare_label": json.dumps(label)})
    return label


def _roots(asked: RequestFolder, key: AttributeKey, fetched: Fetched, registry: str) -> list[Root]:
    """Return what is to be opened of the edition that was fetched."""
    head = asked.vault(registry).get(HEAD, at_most=MAX_HEAD_BYTES)
    if head is None:
        raise ProtocolError(_REFUSAL)
    try:
        edition = Edition.from_bytes(open_head(head)[0])
    except ProtocolError:
        raise ProtocolError(_REFUSAL) from None
    if (edition.registry, edition.sequence) != (registry, fetched.edition):
        raise ProtocolError(_REFUSAL)
    return groups_of(edition, asked.application.epoch, key)


def _write_group(
    asked: RequestFolder, key: AttributeKey, root: Root, writer: pq.ParquetWriter
) -> dict[str, Any]:
    """Write the records of a group; return what the label says of it."""
    registry = root.place.registry
    records = tumours = 0
    for batch in open_group(asked.committee.public, key, asked.vault(registry), root):
        names = pa.array([registry]).take(pa.repeat(0, batch.num_rows))
        writer.write_batch(pa.record_batch([names, *batch.columns], schema=_SCHEMA))
        records += pc.count_distinct(batch["record"]).as_py()  # a record is in one batch
        tumours += batch.num_rows
    return {
        "conditions": conditions(parse(root.place.policy)),
        "records": records,
        "tumours": tumours,
    }


def _label(asked: RequestFolder, registries: list[dict[str, Any]]) -> dict[str, Any]:
    application = asked.application
    return {
        "upcare_label": _VERSION,
        "request": asked.digest.hex(),
        "project": application.project,
        "title": application.title,
        "purposes": purpose_words(application.purposes),
        "diseases": disease_words(application.diseases),
        "month": application.epoch,
        "claims": sorted(application.claims),
        "region": application.region,
        "evidence": {
            duo.OBLIGATIONS[code]: line for code, line in sorted(application.evidence.items())
        },
        "records": sum(registry["records"] for registry in registries),
        "tumours": sum(registry["tumours"] for registry in registries),
        "registries": registries,
        "duties": duties(application),
    }


def duties(application: Application) -> list[str]:
    """Say what whoever holds the opened records has to do."""
    _, last = days_of(application.epoch)
    promised = [f"Keep what was promised: {line}." for line in application.evidence.values()]
    return [
        f"Use the records for the project {application.project} and its purposes alone.",
        "Pass them on to nobody, and do not try to find out whose they are.",
        f"Patients have agreed for {application.epoch}: after {last}, delete them or ask anew.",
        "Fetch again before you begin another analysis; who has withdrawn is no longer there.",
        *promised,
    ]
