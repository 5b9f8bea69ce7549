"""From a permission to a policy for sealed records, and from a use to the attributes of a key.

    site:de-a            the registry whose record it is; in every policy
    epoch:2026-11        the calendar month; a permission must hold until it ends
    use:hmb              the DUO permission; a key has all that cover all its purposes
    use:non-commercial   and use:no-methods, no-ancestry, genetic: each limit, positively
    use:irb              and pub, col, mor, rtn: an obligation that is documented or promised
    requester:not-for-profit
    disease:c18-c21      a term (``diseases``); a key has all that hold its whole disease scope
    region:de            the country in which the data are used

A policy has no "not", so each limit is the presence of something certified. ``attributes`` says
what the authorities certify of a use: a policy means what it says only if every key is issued for
exactly these.

Never wider: whatever use the policy opens for, the consent gate permits, on every day from that on
which the record is sealed to the end of the month.
What cannot be said so is refused: an end or a majority within the month, a limit that nobody can
check, a set of diseases or countries too scattered for the limits of a policy. The other way round
holds but for one case: a project on several diseases that a patient has all named, but no one term
inside the patient's set holds, is permitted by the gate and opened by no key.

A policy is public, at the platform too: it tells what a group of patients has allowed, and the size
of the group.
"""

import re
from calendar import monthrange
from collections.abc import Iterable
from datetime import date
from typing import Final

from upcare_mpc.abe import policy as abe
from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import terms_around, terms_within
from upcare_mpc.consent.gate import last_words
from upcare_mpc.consent.model import Activity, Consent, Terms
from upcare_mpc.consent.use import NON_COMMERCIAL, NOT_FOR_PROFIT, Use
from upcare_mpc.errors import InputError, RefusedError

__all__ = ["attributes", "compile_policy", "days_of"]

_EPOCH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])", re.ASCII)
_SITE = re.compile(r"[a-z][a-z0-9-]{1,30}", re.ASCII)
_CERTIFIED: Final = {
    duo.NMDS: ("use:no-methods",),
    duo.NPOA: ("use:no-ancestry",),
    duo.GSO: ("use:genetic",),
    duo.NPU: ("requester:not-for-profit",),
    duo.NCU: ("use:non-commercial",),
    duo.NPUNCU: ("requester:not-for-profit", "use:non-commercial"),
    **{code: (f"use:{name}",) for code, name in duo.OBLIGATIONS.items()},
    duo.GS: (),  # the regions say it
    duo.TS: (),  # the epoch says it
    duo.CC: (),  # permits what is never asked for
}


def compile_policy(
    consents: Iterable[Consent], *, data_set: str, site: str, day: date
) -> abe.Policy:
    """Return the policy under which a patient's record is sealed from a day to its month's end.

    Args:
        consents: All of one patient, in any order.
        data_set: Which the record belongs to.
        site: The registry.
        day: On which it is sealed.

    Raises:
        RefusedError: There is no permission, or none that a policy can express: seal nothing.
        InputError: The site is none, or the consents are of more than one patient.
    """
    epoch = f"{day:%Y-%m}"
    _, last = days_of(epoch)
    words = last_words(consents, data_set=data_set, activity=Activity.RECORDS)
    terms = {consent.terms for consent in words}
    if len(words) != 1 or None in terms:
        raise RefusedError("consent: there is no permission to open this record")
    (consent,) = words
    assert consent.terms is not None  # checked above
    if (
        consent.terms.first_day > day
        or (consent.terms.last_day is not None and consent.terms.last_day < last)
        or (consent.majority is not None and consent.majority <= last)
    ):
        raise RefusedError(f"consent: the permission does not hold from {day} to the month's end")
    return _policy([_site(site), f"epoch:{epoch}", *_said(consent.terms)])


def attributes(use: Use, *, site: str, epoch: str) -> frozenset[str]:
    """Return what the authorities certify of a use: the attributes of its key.

    Args:
        use: Of records; its facts are certified.
        site: The registry whose records are to be opened.
        epoch: The month in which, ``2026-11``.

    Raises:
        InputError: The site or the epoch is none, or the use is not of records.
    """
    days_of(epoch)
    if use.activity is not Activity.RECORDS:
        raise InputError("attributes: wanted a use of records, got one of statistics")
    found = {_site(site), f"epoch:{epoch}"}
    found.update(f"use:{duo.PERMISSIONS[code]}" for code in duo.covering(use.purposes))
    found.update(f"use:{duo.OBLIGATIONS[code]}" for code in use.evidence)
    found.update(f"disease:{term.lower()}" for term in terms_around(use.diseases))
    for holds, attribute in (
        (NOT_FOR_PROFIT in use.claims, "requester:not-for-profit"),
        (NON_COMMERCIAL in use.claims, "use:non-commercial"),
        (duo.METHODS not in use.purposes, "use:no-methods"),
        (not use.purposes & duo.ANCESTRY, "use:no-ancestry"),
        (duo.GENETIC in use.purposes, "use:genetic"),
        (use.region is not None, f"region:{(use.region or '').lower()}"),
    ):
        if holds:
            found.add(attribute)
    return frozenset(found)


def days_of(epoch: str) -> tuple[date, date]:
    """Return the first and the last day of an epoch.

    Raises:
        InputError: It is not written like ``2026-11``.
    """
    written = _EPOCH.fullmatch(epoch)
    if not written:
        raise InputError("epoch: wanted a month like 2026-11")
    year, month = map(int, written.groups())
    return date(year, month, 1), date(year, month, monthrange(year, month)[1])


def _site(site: str) -> str:
    if not _SITE.fullmatch(site):
        raise InputError("site: wanted a registry's name like de-a")
    return f"site:{site}"


def _said(terms: Terms) -> list[str]:
    """Return what each term asks for."""
    unknown = sorted(terms.limits - _CERTIFIED.keys())
    if unknown:
        raise RefusedError(f"consent: no policy can express the limit {unknown[0]}")
    wanted = [f"use:{duo.PERMISSIONS[terms.permission]}"]
    wanted += [attribute for code in terms.limits for attribute in _CERTIFIED[code]]
    if terms.diseases is not None:
        wanted.append(_any(f"disease:{term.lower()}" for term in terms_within(terms.diseases)))
    if terms.regions is not None:
        wanted.append(_any(f"region:{region.lower()}" for region in terms.regions))
    return wanted


def _any(choices: Iterable[str]) -> str:
    return f"or({','.join(sorted(choices))})"


def _policy(wanted: Iterable[str]) -> abe.Policy:
    try:
        return abe.parse(f"and({','.join(sorted(set(wanted)))})")
    except InputError as error:
        raise RefusedError(f"consent: no policy can express it; {error}") from None
