"""`[policy]` of a party file: what a registry agrees to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from upcare_mpc.config.toml_table import Table
from upcare_mpc.consent.use import NON_COMMERCIAL, NOT_FOR_PROFIT
from upcare_mpc.errors import ConfigError
from upcare_mpc.kinds import KINDS
from upcare_mpc.privacy.accountant import Cap
from upcare_mpc.privacy.ledger import Caps
from upcare_mpc.study.spec import MAX_COHORT

__all__ = ["Certified", "Policy", "read_policy"]

_DELTA_PER_STUDY = Fraction(1, 10**6)  # where the policy states none


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """What this registry knows of a researcher; what is not stated does not hold.

    Attributes:
        claims: ``not-for-profit`` of the organisation, ``non-commercial`` of what she asks.
        region: Country (ISO 3166) in which she works.
    """

    claims: frozenset[str] = frozenset()
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What this registry agrees to; everything else is refused.

    Attributes:
        automatic: Approve without an operator what the policy accepts.
        purposes: Accepted purposes (GA4GH DUO codes).
        kinds: Accepted study kinds.
        researchers: Name to Ed25519 public key: who may ask.
        certified: Public key to what is known of who holds it; each of ``researchers`` is there.
        epsilon_per_study: The most epsilon one study may state, whatever its mechanism.
        delta_per_study: The most delta one study may state.
        minimum_cohort: The least ``release.minimum_cohort`` that a study must declare; None
            accepts studies without one.
        caps: The most all studies together may ever cost this registry's population.
    """

    automatic: bool
    purposes: frozenset[str]
    kinds: frozenset[str]
    researchers: Mapping[str, bytes]
    epsilon_per_study: Fraction
    delta_per_study: Fraction
    minimum_cohort: int | None
    caps: Caps
    certified: Mapping[bytes, Certified] = field(default_factory=dict)


def read_policy(table: Table) -> Policy:
    """Read the section; `ConfigError` names the key that is not as it should be."""
    table.only(
        *("approval", "purposes", "kinds", "researchers", "caps"),
        *("epsilon_per_study", "delta_per_study", "minimum_cohort"),
    )
    approval = table.one_of("approval", "automatic", "manual")
    kinds = frozenset(table.texts("kinds"))
    if not kinds <= KINDS.keys():
        wanted = ", ".join(KINDS)
        raise ConfigError(
            f"{table.place('kinds')}: wanted some of {wanted}, got {min(kinds - KINDS.keys())}"
        )
    researchers = table.table("researchers")
    known = {name: _researcher(researchers, name) for name in researchers.content}
    return Policy(
        automatic=approval == "automatic",
        purposes=frozenset(table.texts("purposes")),
        kinds=kinds,
        researchers={name: key for name, (key, _) in known.items()},
        epsilon_per_study=table.number("epsilon_per_study"),
        delta_per_study=(
            table.number("delta_per_study", most=1)
            if "delta_per_study" in table.content
            else _DELTA_PER_STUDY
        ),
        minimum_cohort=(
            table.integer("minimum_cohort", 1, MAX_COHORT)
            if "minimum_cohort" in table.content
            else None
        ),
        caps=_caps(table.table("caps")),
        certified=dict(known.values()),
    )


def _caps(table: Table) -> Caps:
    """Caps in (epsilon, delta) or in (rho, delta); those of purposes are in the same measure."""
    table.only("epsilon", "rho", "delta", "purposes")
    if ("epsilon" in table.content) == ("rho" in table.content):
        raise ConfigError(f"{table.where}: wanted either epsilon or rho, beside delta")
    measure, cap = ("rho", Cap.of_rho) if "rho" in table.content else ("epsilon", Cap.of_epsilon)
    delta = table.number("delta", most=1)
    if delta == 1:
        raise ConfigError(f"{table.place('delta')}: wanted less than 1")
    purposes = table.table("purposes") if "purposes" in table.content else None
    return Caps(
        everything=cap(table.number(measure), delta),
        purposes={p: cap(purposes.number(p), delta) for p in purposes.content} if purposes else {},
    )


def _researcher(table: Table, name: str) -> tuple[bytes, Certified]:
    """A key, or a table of it and of what is known of who holds it."""
    if not isinstance(table.get(name), dict):
        return _key(table, name), Certified()
    stated = table.table(name)
    stated.only("key", "claims", "region")
    claims = frozenset(stated.texts("claims")) if "claims" in stated.content else frozenset()
    if not claims <= {NOT_FOR_PROFIT, NON_COMMERCIAL}:
        raise ConfigError(
            f"{stated.place('claims')}: wanted some of {NOT_FOR_PROFIT}, {NON_COMMERCIAL}"
        )
    region = stated.text("region") if "region" in stated.content else None
    if region is not None and not re.fullmatch(r"[A-Z]{2}", region, re.ASCII):
        raise ConfigError(f"{stated.place('region')}: wanted a country like DE")
    return _key(stated, "key"), Certified(claims=claims, region=region)


def _key(table: Table, name: str) -> bytes:
    text = table.text(name)
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ConfigError(f"{table.place(name)}: wanted a public key of 64 hexadecimal digits")
    return bytes.fromhex(text)
