"""A researcher who writes a study to make a node slow where a record matches, and takes the time.

The cohort is one named woman: site, age, year, month. Behind it stand conditions that cost a
thousand times more to evaluate than to write, and that are only evaluated if she is there. When
the approval left as soon as counting had ended, the times that ``watch`` shows told whether she
was in the registry, for an epsilon of 0.000001. An early version could be asked this way.

Now the steps that one record can cost are counted from the text and bounded, and the approval
leaves at a fixed time that follows from these steps and from the size that the registry has
declared. Nothing in it follows from a record.
"""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from upcare_mpc.consent.model import Activity
from upcare_mpc.consent.use import Use
from upcare_mpc.errors import SessionError, StudyError
from upcare_mpc.kinds.question import MAX_STEPS, Question, work_out
from upcare_mpc.node.session import _count, counting_time
from upcare_mpc.study import language
from upcare_mpc.study.expression import size
from upcare_mpc.study.rows import compiled
from upcare_mpc.study.spec import parse

USE = Use(activity=Activity.STATISTICS, data_set="de-a", purposes=frozenset({"DUO:0000007"}))


def costly(levels: int) -> str:
    """An integer whose evaluation doubled with every level, in about 45 letters a level."""
    text = "age"
    for _ in range(levels):
        text = f"choose when {text} between 0 and 120 then age else 0 end"
    return text


def question(where: str) -> Question:
    text = (
        'version = 1\ntitle = "t"\nkind = "counts"\npurpose = "DUO:0000007"\n'
        'registries = ["de-a", "de-b", "de-c"]\noverlap = 1\n'
        f"[cohort]\nwhere = '''{where}'''\n[privacy]\nepsilon = 0.000001\n[counts]\nby = ['sex']\n"
    )
    return work_out(parse(text, name="study"), network_overlap=1)


class CountingCase:
    """A record that counts how often it is looked at."""

    def __init__(self) -> None:
        self.looks = 0

    def __getattr__(self, name: str) -> Any:
        self.__dict__["looks"] += 1
        return 50


def test_evaluating_a_record_takes_no_more_steps_than_the_text_has_nodes() -> None:
    expression = language.parse(f"({costly(9)}) > 0", place="where")
    case: Any = CountingCase()

    assert compiled(expression)(case) is True

    assert 0 < case.looks <= size(expression)


def test_a_study_that_takes_too_many_steps_a_record_is_refused() -> None:
    arms = ",".join(f'"arm {n}" = "{" or ".join([f"age={50 + n}"] * 330)}"' for n in range(12))
    text = (
        'version = 1\ntitle = "t"\nkind = "survival"\npurpose = "DUO:0000007"\n'
        'registries = ["de-a"]\n[cohort]\nwhere = "true"\n[privacy]\nepsilon = 1\n'
        f"[survival]\ninterval_days = 365\nintervals = 5\narms = {{ {arms} }}\n"
    )

    def ask() -> None:
        work_out(parse(text, name="study"), network_overlap=1)

    with pytest.raises(StudyError, match=f"at most {MAX_STEPS} steps"):
        ask()


def test_the_time_to_answer_follows_from_the_text_and_the_declared_size_alone() -> None:
    cheap, dear = question("site = 'C50'"), question(f"site = 'C50' and ({costly(8)}) > 0")

    assert counting_time(cheap, 1000) < counting_time(dear, 1000) < counting_time(dear, 100_000)
    assert counting_time(dear, 1000) == counting_time(dear, 1000)


@pytest.mark.parametrize("work_s", [0.0, 0.15])
def test_a_count_is_given_out_at_its_time_whenever_it_has_ended(work_s: float) -> None:
    def tabulate(*_: object) -> bytes:
        time.sleep(work_s)
        return b"table"

    async def run() -> tuple[bytes, float]:
        start = time.monotonic()
        snapshot: Any = SimpleNamespace(tabulate=tabulate)
        asked: Any = SimpleNamespace(kind=None)
        return await _count(snapshot, asked, USE, until=start + 0.3), time.monotonic() - start

    table, took = asyncio.run(run())

    assert table == b"table"
    assert took == pytest.approx(0.3, abs=0.05)


def test_a_count_that_has_not_ended_is_refused_with_one_sentence() -> None:
    def tabulate(*_: object) -> bytes:
        time.sleep(0.4)
        return b"table"

    async def run() -> bytes:
        snapshot: Any = SimpleNamespace(tabulate=tabulate)
        asked: Any = SimpleNamespace(kind=None)
        return await _count(snapshot, asked, USE, until=time.monotonic() + 0.1)

    with pytest.raises(SessionError, match="in the time that this node's size gives it"):
        asyncio.run(run())
