"""The study file: one question, as frozen data with one canonical spelling.

    version = 1
    title = "Does hormone therapy change survival after breast cancer?"
    kind = "survival"
    purpose = "DUO:0000007"
    registries = ["de-a", "de-b", "fr-a"]
    overlap = 1                                # optional: how many registries may know a patient
    [cohort]
    where = "site = 'C50' and age >= 18"
    [privacy]
    epsilon = 1.0
    mechanism = "laplace"                      # optional; or "gaussian", which wants a delta too
    [release]                                  # optional: what has to hold before anything opens
    minimum_cohort = 50
    [deposits]                                 # optional: who contributes without being online
    registries = ["fr-c"]
    patients = true
    [survival]                                 # a table named after the kind: its options
    ...

A study is written in TOML or in JSON (a text that starts with ``{``); decimals are read exactly.
``Study.canonical()`` are the bytes that travel, that nodes approve, and whose digest binds
everything else to this question. Layout of the text, order of the keys and TOML or JSON make no
difference to them; every word that a person reads or a machine computes with does.

Options belong to the kind (``kinds.of`` checks them). They are read by their form alone
(``study.options``).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

from upcare_mpc.errors import StudyError
from upcare_mpc.study import language
from upcare_mpc.study.document import (
    MAX_BYTES,
    Table,
    decoded,
    json_table,
    kind_of,
    shown,
    toml_table,
)
from upcare_mpc.study.expression import Expression, canonical
from upcare_mpc.study.options import Arm, Option, plain, read_options

__all__ = [
    "MAX_BYTES",
    "MAX_COHORT",
    "Arm",
    "Deposits",
    "Option",
    "Release",
    "Study",
    "parse",
]

MAX_EPSILON: Final = 100
MIN_DELTA: Final = Fraction(1, 2**40)  # what a sampler may add
MAX_DENOMINATOR: Final = 10**30  # of epsilon and delta
MECHANISMS: Final = ("laplace", "gaussian")
MAX_COHORT: Final = 10**9
MAX_SUPPRESSED: Final = 10**6
MAX_OVERLAP: Final = 64
ENVELOPES: Final = ("rlwe", "sealed")
MAX_DAYS: Final = 30
DAYS: Final = 14

_VERSION = 1
_KIND = r"[a-z][a-z0-9_]{0,30}"
_TOP = (
    "version",
    "title",
    "kind",
    "purpose",
    "registries",
    "overlap",
    "cohort",
    "privacy",
    "release",
    "deposits",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What has to hold before anything is opened; compared inside the protocol.

    Attributes:
        minimum_cohort: Nothing is opened if the pooled noisy total of the table is below it. That
            total, and no exact count, is what is meant by the cohort.
        suppress_below: A cell whose pooled noisy value is below it is not opened.
    """

    minimum_cohort: int | None = None
    suppress_below: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposits:
    """Who contributes without being online, and how.

    Attributes:
        envelope: ``rlwe`` or ``sealed``.
        registries: Who deposits its table; none of them is asked online.
        patients: Whether patients answer.
        days: For so long are deposits taken at most.
    """

    envelope: str
    registries: tuple[str, ...]
    patients: bool
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One question to the registries.

    Attributes:
        title: One line for people; part of what registries approve.
        kind: Name of the statistic.
        purpose: GA4GH data-use code.
        registries: Names of the registries asked, in the order written.
        overlap: Registries that may know one patient; None until the network's agreement is
            known (``resolved``).
        where: The cohort.
        epsilon: Privacy loss of the whole study for one patient.
        delta: Probability with which the loss may be more; with Gaussian noise alone, where it is
            part of the question. Laplace noise has one of at most 2^-40.
        mechanism: Law of the noise: ``laplace`` or ``gaussian``.
        release: What has to hold before anything is opened.
        deposits: Who contributes without being online; None for nobody.
        options: What the kind needs to know.
    """

    title: str
    kind: str
    purpose: str
    registries: tuple[str, ...]
    overlap: int | None
    where: Expression
    epsilon: Fraction
    delta: Fraction | None
    mechanism: str
    release: Release
    deposits: Deposits | None
    options: Mapping[str, Option]

    def resolved(self, network_overlap: int) -> "Study":
        """Return the study with the overlap of the network's agreement filled in.

        Raises:
            StudyError: The study states less overlap than the network has agreed on.
        """
        if self.overlap is None:
            return replace(self, overlap=network_overlap)
        if self.overlap < network_overlap:
            raise StudyError(
                f"overlap: wanted at least {network_overlap}, as agreed in the network, "
                f"got {self.overlap}"
            )
        return self

    def canonical(self) -> bytes:
        """Return the bytes that stand for this study: versioned, sorted, ASCII JSON."""
        content: dict[str, Any] = {
            "upcare_study": _VERSION,
            "title": self.title,
            "kind": self.kind,
            "purpose": self.purpose,
            "registries": list(self.registries),
            "overlap": self.overlap,
            "cohort": {"where": canonical(self.where)},
            "privacy": {
                "epsilon": _ratio(self.epsilon),
                "delta": None if self.delta is None else _ratio(self.delta),
                "mechanism": self.mechanism,
            },
            "release": {
                "minimum_cohort": self.release.minimum_cohort,
                "suppress_below": self.release.suppress_below,
            },
            "options": plain(self.options),
        }
        if self.deposits is not None:
            content["deposits"] = {
                "envelope": self.deposits.envelope,
                "registries": list(self.deposits.registries),
                "patients": self.deposits.patients,
                "days": self.deposits.days,
            }
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes, domain separated."""
        return hashlib.sha256(b"upcare study v1\0" + self.canonical()).digest()

    @classmethod
    def from_canonical(cls, received: bytes) -> "Study":
        """Read canonical bytes, as they arrive from the network.

        Raises:
            StudyError: The bytes are not exactly what ``canonical()`` would give.
        """
        content = json_table(decoded(received, "study"), "study")
        if content.get("upcare_study") != _VERSION:
            raise StudyError(f"study: wanted canonical bytes of version {_VERSION}")
        table = Table(content, "study")
        table.only(("upcare_study", "options", *_TOP[1:]))
        privacy = table.table("privacy")
        given = {**privacy.content, "epsilon": _canonical_ratio(privacy, "epsilon")}
        if given.get("delta") is not None:
            given["delta"] = _canonical_ratio(privacy, "delta")
        study = _study({**content, "privacy": given}, "study", options_key="options")
        if study.canonical() != received:
            raise StudyError("study: wanted canonical bytes, got another spelling of a study")
        return study


def parse(text: str | bytes, *, name: str) -> Study:
    """Read a study file.

    Args:
        text: TOML, or JSON if it starts with ``{``.
        name: What to call it in error texts, for example the file name.

    Raises:
        StudyError: It is not a study; the text names the key and, in expressions, the column.
    """
    document = decoded(text, name)
    read = json_table if document.lstrip().startswith("{") else toml_table
    content = read(document, name)
    table = Table(content, name)
    if "kind" not in content:
        table.only(_TOP)
    kind = table.matching("kind", _KIND, "a lower-case name")
    if kind not in content or kind in _TOP:
        raise StudyError(f"{name}: kind: wanted a statistic with its table, got no [{kind}]")
    table.only((*_TOP, kind))
    if table.integer("version") != _VERSION:
        raise StudyError(f"{name}: version: wanted {_VERSION}, got another number")
    return _study(content, name, options_key=kind)


def _study(content: dict[str, Any], name: str, *, options_key: str) -> Study:
    table = Table(content, name)
    kind = table.matching("kind", _KIND, "a lower-case name")
    cohort = table.table("cohort")
    cohort.only(("where",))
    privacy = table.table("privacy")
    privacy.only(("epsilon", "delta", "mechanism"))
    mechanism = _mechanism(privacy)
    registries = _registries(table)
    return Study(
        title=_title(table),
        kind=kind,
        purpose=table.matching("purpose", r"DUO:[0-9]{7}", "a code like DUO:0000007"),
        registries=registries,
        overlap=_overlap(table),
        where=language.parse(cohort.text("where"), place=cohort.place("where")),
        epsilon=_epsilon(privacy),
        delta=_delta(privacy, mechanism),
        mechanism=mechanism,
        release=_release(table),
        deposits=_deposits(table, registries),
        options=read_options(table.table(options_key)),
    )


def _title(table: Table) -> str:
    title = table.text("title")
    if not title.strip() or len(title) > 200 or not title.isprintable():
        raise StudyError(f"{table.place('title')}: wanted one line of 1 to 200 characters")
    return title


def _registries(table: Table) -> tuple[str, ...]:
    names = table.get("registries")
    place = table.place("registries")
    if not isinstance(names, list) or not names:
        raise StudyError(f"{place}: wanted a list of one or more names, got {kind_of(names)}")
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9-]{1,30}", name, re.ASCII):
            raise StudyError(f"{place}: wanted a name like de-a, got {shown(name)}")
        if names.count(name) > 1:
            raise StudyError(f"{place}: wanted names that differ, got {name} twice")
    return tuple(names)


def _overlap(table: Table) -> int | None:
    if table.content.get("overlap") is None:
        return None
    return _count(table, "overlap", MAX_OVERLAP)


def _epsilon(privacy: Table) -> Fraction:
    epsilon = _number(privacy, "epsilon")
    if not 0 < epsilon <= MAX_EPSILON:
        raise StudyError(
            f"{privacy.place('epsilon')}: wanted more than 0 and at most {MAX_EPSILON}"
        )
    return epsilon


def _delta(privacy: Table, mechanism: str) -> Fraction | None:
    stated = privacy.content.get("delta") is not None  # canonical bytes say null
    if mechanism == "laplace":
        if stated:
            raise StudyError(
                f"{privacy.place('delta')}: wanted none with mechanism laplace, "
                "whose delta is at most 2^-40"
            )
        return None
    if not stated:
        raise StudyError(
            f"{privacy.name}: missing key '{privacy.path}delta'; Gaussian noise wants one, "
            "for example 1e-9"
        )
    delta = _number(privacy, "delta")
    if not MIN_DELTA < delta < 1:
        raise StudyError(
            f"{privacy.place('delta')}: wanted more than 2^-40 and less than 1, "
            f"got {float(delta):g}"
        )
    return delta


def _release(table: Table) -> Release:
    if "release" not in table.content:
        return Release()
    release = table.table("release")
    release.only(("minimum_cohort", "suppress_below"))
    return Release(
        minimum_cohort=_count(release, "minimum_cohort", MAX_COHORT),
        suppress_below=_count(release, "suppress_below", MAX_SUPPRESSED),
    )


def _deposits(table: Table, online: tuple[str, ...]) -> Deposits | None:
    if "deposits" not in table.content:
        return None
    deposits = table.table("deposits")
    deposits.only(("envelope", "registries", "patients", "days"))
    envelope = deposits.text("envelope") if "envelope" in deposits.content else ENVELOPES[0]
    if envelope not in ENVELOPES:
        wanted = " or ".join(ENVELOPES)
        raise StudyError(f"{deposits.place('envelope')}: wanted {wanted}, got {shown(envelope)}")
    none = deposits.content.get("registries", []) == []  # canonical bytes say []
    names = () if none else _registries(deposits)
    for name in names:
        if name in online:
            raise StudyError(
                f"{deposits.place('registries')}: wanted registries that are not asked online, "
                f"got {name}"
            )
    patients = deposits.content.get("patients", False)
    if not isinstance(patients, bool):
        raise StudyError(
            f"{deposits.place('patients')}: wanted true or false, got {kind_of(patients)}"
        )
    if not names and not patients:
        raise StudyError(f"{deposits.name}: deposits: wanted registries, patients = true, or both")
    days = _count(deposits, "days", MAX_DAYS) or DAYS
    return Deposits(envelope=envelope, registries=names, patients=patients, days=days)


def _count(table: Table, key: str, most: int) -> int | None:
    """Read a whole number from 1 that may be left out; canonical bytes say null then."""
    if table.content.get(key) is None:
        return None
    count = table.integer(key)
    if not 1 <= count <= most:
        raise StudyError(f"{table.place(key)}: wanted a whole number from 1 to {most}")
    return count


def _number(table: Table, key: str) -> Fraction:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | Fraction):
        raise StudyError(f"{table.place(key)}: wanted a number, got {kind_of(value)}")
    if Fraction(value).denominator > MAX_DENOMINATOR:
        raise StudyError(f"{table.place(key)}: wanted at most 30 decimals")
    return Fraction(value)


def _mechanism(privacy: Table) -> str:
    if "mechanism" not in privacy.content:
        return MECHANISMS[0]
    mechanism = privacy.text("mechanism")
    if mechanism not in MECHANISMS:
        wanted = " or ".join(MECHANISMS)
        raise StudyError(f"{privacy.place('mechanism')}: wanted {wanted}, got {shown(mechanism)}")
    return mechanism


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _canonical_ratio(table: Table, key: str) -> Fraction:
    """Read what ``_ratio`` wrote."""
    written = table.text(key)
    if not re.fullmatch(r"[1-9][0-9]{0,40}/[1-9][0-9]{0,40}", written, re.ASCII):
        raise StudyError(f"{table.place(key)}: wanted a fraction in canonical form")
    return Fraction(written)
