"""The law on its way to a worker: it arrives equal, or not at all."""

import json
from fractions import Fraction

import pytest

from upcare_mpc.errors import SessionError
from upcare_mpc.mpc.noise import Law
from upcare_mpc.node.law import law_from_json, law_to_json
from upcare_mpc.privacy.gaussian import sample_gaussian
from upcare_mpc.privacy.laplace import sample_law
from upcare_mpc.study.layout import Sensitivity

ONE = Sensitivity(d0=1, d1=1, dinf=1)
LAWS = {
    "laplace": sample_law(Fraction(10), ONE),
    "gaussian of one part": sample_gaussian(Fraction(9), ONE),
    "gaussian of two parts": sample_gaussian(Fraction(22201), ONE),
    "gaussian of four parts": sample_gaussian(Fraction(10**12), ONE),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_a_law_survives_the_way(law: Law) -> None:
    text = json.dumps(law_to_json(law))

    assert law_from_json(json.loads(text), digest=law.digest) == law


def test_another_law_than_the_sessions_is_refused() -> None:
    laplace, gaussian, *_ = LAWS.values()

    with pytest.raises(SessionError, match="not the one of the session"):
        law_from_json(law_to_json(laplace), digest=gaussian.digest)


@pytest.mark.parametrize("place", [0, 1])
def test_one_changed_threshold_is_noticed(place: int) -> None:
    law = LAWS["gaussian of two parts"]
    content = json.loads(json.dumps(law_to_json(law)))
    content["gaussian"][place]["tables"][1][0] -= 1

    with pytest.raises(SessionError, match="not the one of the session"):
        law_from_json(content, digest=law.digest)
