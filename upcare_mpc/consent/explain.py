"""A decision in one sentence, for the patient it is about: plain words, in three languages.

The sentences are data (``sentences.toml``). They hold no code, no name and no count; codes are
added in brackets when somebody asks for them. Nothing of the study but its being for, say, another
purpose is said, so a sentence tells a patient no more than the decision does.
"""

import tomllib
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Final

from upcare_mpc.consent.gate import Decision, Reason
from upcare_mpc.errors import InputError

__all__ = ["LANGUAGES", "explain"]

LANGUAGES: Final = ("de", "fr", "en")


def explain(decision: Decision, language: str, *, codes: bool = False) -> str:
    """Say a decision in one sentence.

    Args:
        decision: About one patient. The sentence is as secret as it is.
        language: One of ``LANGUAGES``.
        codes: Whether to add the codes that decided.

    Raises:
        InputError: There is no such language.
    """
    if language not in LANGUAGES:
        raise InputError(f"language: wanted one of {', '.join(LANGUAGES)}")
    words = _catalogue()[language]
    outcome = "permitted" if decision.permitted else "denied"
    clause: str = words["because"][_clause(decision)]
    shown = f" ({', '.join(decision.codes)})" if codes and decision.codes else ""
    sentence: str = words["sentence"]
    return sentence.format(
        head=words["head"][f"{decision.activity}_{outcome}"],
        because=clause.format(day=_spelled(decision.day, words)),
        codes=shown,
    )


def _clause(decision: Decision) -> str:
    if decision.reason is Reason.CONSENTED and decision.day is not None:
        return "consented_until"
    return decision.reason.value


def _spelled(day: date | None, words: dict[str, Any]) -> str:
    if day is None:
        return ""
    of_month = words["first_of_month"] if day.day == 1 else words["day_of_month"].format(day.day)
    return f"{of_month} {words['months'][day.month - 1]} {day.year}"


@cache
def _catalogue() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("sentences.toml").read_text("utf-8"))
