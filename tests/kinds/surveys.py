"""Study files that patients answer."""

from typing import Final

CROSSED: Final = 'cross = [["Smoked?", "Health?"]]'
_HEAD: Final = """version = 1
title = "Asked"
purpose = "DUO:0000007"
registries = ["de-a", "de-b", "de-c"]
[deposits]
patients = true
[privacy]
epsilon = 1.0
"""


def survey(
    more: str = "", *, questions: str | None = None, where: str = "true", release: str = ""
) -> str:
    asked = questions or (
        '[[questionnaire.questions]]\ntext = "Smoked?"\noptions = ["never", "once", "today"]\n'
        '[[questionnaire.questions]]\ntext = "Health?"\noptions = ["poor", "good"]\n'
    )
    return (
        f'kind = "questionnaire"\n{_HEAD}[cohort]\nwhere = "{where}"\n'
        f"[release]\n{release}\n[questionnaire]\n{more}\n{asked}"
    )


def counts_by(axes: str, *, margins: bool = False) -> str:
    more = "margins = true\n" if margins else ""
    return (
        f'kind = "counts"\n{_HEAD}[cohort]\nwhere = "site = \'C50\'"\n'
        f"[counts]\nby = [{axes}]\n{more}"
    )
