"""Does a new answer permit all that the old one did? Decides how a sealed record is changed.

If it does, the record may keep its data key and be wrapped under the new policy too. If it does
not, whoever could open it must not go on: new data key, new payload, new version.

The answer may be no for a new permission that is in truth wider, and never yes for one that is not.
"""

from typing import Final

from upcare_mpc.consent import duo
from upcare_mpc.consent.model import Consent, Terms

__all__ = ["widens"]

_ABOVE: Final = {
    duo.NRES: {duo.NRES, duo.GRU, duo.HMB, duo.DS, duo.POA},
    duo.GRU: {duo.GRU, duo.HMB, duo.DS, duo.POA},
    duo.HMB: {duo.HMB, duo.DS},
    duo.DS: {duo.DS},
    duo.POA: {duo.POA},
}
_SAID_ELSEWHERE: Final = frozenset({duo.GS, duo.TS, duo.CC})


def widens(after: Consent, before: Consent) -> bool:
    """Say whether whatever ``before`` permits ``after`` permits too, at the consent gate.

    Args:
        after: The new answer.
        before: The old one, of the same patient, data set and activity.
    """
    if before.terms is None:
        return True
    if after.terms is None:
        return False
    of_age = after.majority is None or (
        before.majority is not None and before.majority <= after.majority
    )
    return of_age and _wider(after.terms, before.terms)


def _wider(after: Terms, before: Terms) -> bool:
    return (
        before.permission in _ABOVE[after.permission]
        and _holds(after.diseases, before.diseases)
        and _holds(after.regions, before.regions)
        and _limits(after) <= _limits(before)
        and after.first_day <= before.first_day
        and (
            after.last_day is None
            or (before.last_day is not None and before.last_day <= after.last_day)
        )
    )


def _holds(after: frozenset[str] | None, before: frozenset[str] | None) -> bool:
    """Say whether a set holds another; None is everything."""
    return after is None or (before is not None and before <= after)


def _limits(terms: Terms) -> frozenset[str]:
    limits = terms.limits - _SAID_ELSEWHERE
    if duo.NPUNCU in limits:
        return limits - {duo.NPUNCU} | {duo.NPU, duo.NCU}
    return limits
