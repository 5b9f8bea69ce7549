"""Cross-tables from individual data, in the clear."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping

__all__ = ["bounded", "cross_table"]


def bounded(tumours: Iterable[tuple[str, int, Hashable]], *, per_patient: int) -> list[Hashable]:
    """Keep the first tumours of each patient.

    Args:
        tumours: (patient, sequence, what to keep) of each tumour, in any order.
        per_patient: How many of one patient to keep, by sequence.
    """
    used: Counter[str] = Counter()
    kept = []
    for patient, _, tumour in sorted(tumours, key=lambda tumour: tumour[:2]):
        if used[patient] < per_patient:
            used[patient] += 1
            kept.append(tumour)
    return kept


def cross_table(
    rows: Iterable[Mapping[str, Hashable]], by: Iterable[str]
) -> Counter[tuple[Hashable, ...]]:
    """Count the rows in each combination of values; rows with an unknown (None) value are left out.

    Args:
        rows: One mapping a tumour.
        by: The variables that make up the table, in order.
    """
    names = list(by)
    combinations = (tuple(row[name] for name in names) for row in rows)
    return Counter(values for values in combinations if None not in values)
