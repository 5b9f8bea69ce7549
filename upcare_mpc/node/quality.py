"""The quality report of a snapshot, from its rows, its manifest and the registry's schemas.

What leaks: the figures are exact. The files that `write_report` makes are the operator's.
"""

import json
from collections.abc import Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Final

from upcare_mpc.ingest.detect import HEAD_BYTES, Format, detect
from upcare_mpc.ingest.validation import Schemas, Validation
from upcare_mpc.quality import page, text
from upcare_mpc.quality.report import QualityReport
from upcare_mpc.storage.durable import replace_text
from upcare_mpc.storage.quality_counts import count
from upcare_mpc.storage.snapshot import Manifest, Snapshots

__all__ = ["REPORTS", "quality_report", "validate", "write_report"]

REPORTS: Final = ("quality.txt", "quality.json", "quality.html")
_XML: Final = frozenset({Format.OBDS, Format.ADT, Format.RKI})


def quality_report(
    snapshots: Snapshots, manifest: Manifest, validation: Validation | None
) -> QualityReport:
    """Count the rows of a snapshot; errors as ``quality_counts.count``.

    Args:
        snapshots: The folder it is in.
        manifest: Of the snapshot.
        validation: What `validate` found in its files, if it was asked.
    """
    return QualityReport(
        snapshot=manifest.digest.hex(),
        written=manifest.written,
        rules=manifest.sources.rules,
        account=manifest.account,
        counts=count(snapshots.rows(manifest), snapshots.folder / "spill"),
        schemas=validation,
    )


def validate(files: Sequence[Path], schemas: Schemas) -> Validation:
    """Hold the XML files of a delivery against schemas.

    Raises:
        DataError: A file cannot be read at all.
    """
    found = []
    for path in files:
        with path.open("rb") as file:
            if detect(file.read(HEAD_BYTES), path.name) in _XML:
                file.seek(0)
                found.append(schemas.check(file, path.name))
    return reduce(add, found, Validation())


def write_report(report: QualityReport, folder: Path) -> None:
    """Write the report as text, JSON and HTML; each file is whole or as it was."""
    for name, content in zip(
        REPORTS,
        (text.render(report), json.dumps(report.to_json(), indent=2) + "\n", page.render(report)),
        strict=True,
    ):
        replace_text(folder / name, content)
