"""Everything in a network that its platform must not hold, collected from those who do hold it.

Called at the end of a drill, by somebody who may read every folder of the network: registries'
records, consents, keys and shares, the researcher's keys, her noisy result and opened records. What
lives only in a worker while a study runs (shares of inputs) is not among them: it is on no disk,
and never goes by way of the platform.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.abe.statements import scalar_bytes
from upcare_mpc.authority.committees import authority_folder
from upcare_mpc.authority.shares import Shares
from upcare_mpc.cli.local.haystack import Secret
from upcare_mpc.client.request_folder import RequestFolder
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.client.result import OpenedResult
from upcare_mpc.mpc import field
from upcare_mpc.mpc.opening import unseal_share
from upcare_mpc.records.variables import VARIABLES
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.partition import one_batch
from upcare_mpc.storage.schema import COORDINATOR, NODE
from upcare_mpc.storage.snapshot import Snapshots
from upcare_mpc.storage.studies import Studies
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.vault.keeper import Keeper
from upcare_mpc.vault.payload import payloads
from upcare_mpc.vault.store import Folder

__all__ = ["of_answer", "of_registry", "of_researcher"]

_PIECE = 12  # numbers in a row that stand nowhere by accident
_DIFFERENT = 4


def of_registry(name: str, folder: Path) -> Iterator[Secret]:
    """Yield what a registry alone may hold.

    Args:
        name: Of the registry.
        folder: Its party folder.
    """
    state = folder / "state"
    yield from _private_key(f"{name}: its own key", folder / "identity" / "party.key")
    snapshots = Snapshots(state / "snapshots")
    yield Secret(what=f"{name}: secret of its pseudonyms", content=snapshots.secret())
    yield from _records(name, snapshots)
    with Database(f"sqlite:///{state / 'node.db'}", NODE) as database:
        for consent in Consents(database).all():
            yield Secret(what=f"{name}: a consent", content=consent.canonical())
    if (state / "vault").is_dir():
        keeper = Keeper(state / "vault", Folder(state / "vault" / "objects"), registry=name)
        for record in keeper.state().records:
            yield Secret(what=f"{name}: the key of a record", content=record["key"].tobytes())


def of_researcher(folder: Path, asked: RequestFolder, parties: dict[str, Path]) -> Iterator[Secret]:
    """Yield what a researcher alone may hold, and the shares of the key that opened for her.

    Args:
        folder: Hers.
        asked: Her request, with its key.
        parties: Folders of the members of its committee.
    """
    researcher = Researcher.load(folder)
    signing, sealing = researcher.signing, researcher.sealing
    yield Secret(what="researcher: her signing key", content=signing.private_bytes_raw())
    yield Secret(what="researcher: her sealing key", content=sealing.private_bytes_raw())
    key = asked.key()
    assert key is not None  # it was fetched
    yield Secret(what="researcher: her key to records", content=bytes(key.sk1))
    for component in key.sk2:
        yield Secret(what="researcher: her key to records", content=bytes(component))
    for name in asked.committee.members:
        shares = Shares(authority_folder(parties[name] / "state"))
        share = shares.load(asked.committee)
        what = f"{name}: its share of the network's key"
        yield Secret(what=what, content=scalar_bytes(share.master))
        yield Secret(what=what, content=scalar_bytes(share.binding))
        yield Secret(what=what, content=share.seed)


def of_answer(
    opened: OpenedResult,
    counts: dict[str, npt.NDArray[np.int64]],
    researcher: Researcher,
    platform: Path,
) -> Iterator[Secret]:
    """Yield the result of a study, the shares that it was opened from, and the exact counts.

    Args:
        opened: The result.
        counts: Exact counts by registry, ``(cells,)`` each.
        researcher: To whom the shares are sealed.
        platform: Its folder, where the sealed shares are.
    """
    yield from _numbers("the noisy result", opened.noisy)
    for name, vector in counts.items():
        yield from _numbers(f"{name}: its exact counts", vector)
    yield from _numbers("exact counts of all together", np.sum(list(counts.values()), axis=0))
    with Database(f"sqlite:///{platform / 'state' / 'coordinator.db'}", COORDINATOR) as database:
        studies = Studies(database)
        papers = studies.papers(opened.session, "descriptor")
        descriptor = Descriptor.from_canonical(papers[""])
        for paper in studies.papers(opened.session, "output").values():
            output = study_pb2.Output.FromString(paper)
            share = unseal_share(
                output.sealed,
                researcher.sealing,
                session=descriptor.digest,
                sender=descriptor.roster[output.index].name,
                index=output.index,
                cells=descriptor.cells,
            )
            name = descriptor.roster[output.index].name
            yield Secret(what=f"{name}: its share of the result", content=field.to_bytes(share))


def _private_key(what: str, path: Path) -> Iterator[Secret]:
    pem = path.read_bytes()
    key = serialization.load_pem_private_key(pem, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    yield Secret(what=what, content=scalar_bytes(key.private_numbers().private_value))
    yield Secret(what=what, content=pem.splitlines()[1])


def _records(name: str, snapshots: Snapshots) -> Iterator[Secret]:
    """Yield each patient's payload, line by line, and her pseudonym."""
    manifest = snapshots.current()
    assert manifest is not None  # the registry has answered
    with pq.ParquetFile(snapshots.rows(manifest)) as file:
        for group in range(file.num_row_groups):
            rows = one_batch(file.read_row_group(group, columns=["pseudonym", *VARIABLES]))
            for pseudonym, payload in payloads(rows):
                yield Secret(what=f"{name}: a pseudonym", content=pseudonym)
                for line in (payload or b"").splitlines()[1:]:
                    yield Secret(what=f"{name}: a record", content=line)


def _numbers(what: str, vector: npt.NDArray[np.int64]) -> Iterator[Secret]:
    """Yield numbers in a row, as bytes and as text, where they are too many to be an accident."""
    for begin in range(0, len(vector) - _PIECE + 1, _PIECE // 2):
        piece = vector[begin : begin + _PIECE]
        if len(set(piece.tolist())) < _DIFFERENT:
            continue
        yield Secret(what=what, content=piece.astype("<i8").tobytes())
        yield Secret(what=what, content=piece.astype("<f8").tobytes())
        for separator in (",", ", ", " ", "\n"):
            yield Secret(what=what, content=separator.join(map(str, piece.tolist())).encode())


def patients_in(paths: list[Path]) -> list[str]:
    """Return the patient ids in some oBDS files, in their order, each once."""
    found = (re.findall(r'Patient_ID="([^"]+)"', path.read_text("utf-8")) for path in paths)
    return list(dict.fromkeys(one for ids in found for one in ids))
