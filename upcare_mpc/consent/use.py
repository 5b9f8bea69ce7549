"""What somebody wants to do with data: the question that a gate answers.

For a study it is worked out from the study's text and what a registry knows of its requester; for
the opening of records from a request that the authorities have checked.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import NEOPLASMS, of_cohort
from upcare_mpc.consent.model import Activity
from upcare_mpc.errors import InputError
from upcare_mpc.study.spec import Study

__all__ = ["NON_COMMERCIAL", "NOT_FOR_PROFIT", "Use", "of_study"]

NOT_FOR_PROFIT: Final = "not-for-profit"
NON_COMMERCIAL: Final = "non-commercial"

_REGION = re.compile(r"[A-Z]{2}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What somebody wants to do; public, and the same for every patient.

    Attributes:
        activity: What is done.
        data_set: With which data set.
        purposes: DUO codes of the study or project, all that apply, each as specific as it can be.
        claims: What is certified of the requester and the use: ``not-for-profit`` of the
            organisation, ``non-commercial`` of the use. What is not certified does not hold.
        evidence: DUO obligations that are documented or promised.
        diseases: What it is about (``diseases.of_cohort``).
        region: Country in which the data are used, if it is certified.
    """

    activity: Activity
    data_set: str
    purposes: frozenset[str]
    claims: frozenset[str] = frozenset()
    evidence: frozenset[str] = frozenset()
    diseases: frozenset[str] = field(default=NEOPLASMS)
    region: str | None = None

    def __post_init__(self) -> None:
        if not all(map(duo.is_code, self.purposes)):
            raise InputError("use: purposes: wanted codes like DUO:0000007")
        if not self.claims <= {NOT_FOR_PROFIT, NON_COMMERCIAL}:
            raise InputError(f"use: claims: wanted {NOT_FOR_PROFIT} or {NON_COMMERCIAL}")
        if not self.evidence <= duo.OBLIGATIONS.keys():
            raise InputError(f"use: evidence: wanted some of {', '.join(duo.OBLIGATIONS)}")
        if not (self.diseases and self.diseases <= NEOPLASMS):
            raise InputError("use: diseases: wanted categories of ICD-10's chapter II")
        if self.region is not None and not _REGION.fullmatch(self.region):
            raise InputError("use: region: wanted a country like DE")


def of_study(
    study: Study,
    *,
    data_set: str,
    claims: frozenset[str] = frozenset(),
    evidence: frozenset[str] = frozenset(),
    region: str | None = None,
) -> Use:
    """Return what a study asks of a data set: its purpose, and the diseases of its cohort.

    Args:
        study: As it was approved.
        data_set: Which one.
        claims: What the registry knows of the requester, as in `Use`.
        evidence: What the requester has documented or promised, as in `Use`.
        region: Where the requester works, as in `Use`.
    """
    return Use(
        activity=Activity.STATISTICS,
        data_set=data_set,
        purposes=frozenset({study.purpose}),
        claims=claims,
        evidence=evidence,
        diseases=of_cohort(study.where),
        region=region,
    )
