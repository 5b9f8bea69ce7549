"""What a worker asks its server for before anything opens or leaves."""

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from upcare_mpc.errors import LinkError, SessionError
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.programs import noisy_sum
from upcare_mpc.mpc.programs.noisy_sum import Inputs, NoisySum
from upcare_mpc.node import worker as module
from upcare_mpc.node.pipe import Message
from upcare_mpc.node.worker import Worker

CELLS = 4


class Deposits:
    """Stands where the deposits would be converted; notes what is done with them, and when."""

    def __init__(self, done: list[str], patients: list[int]) -> None:
        self._done = done
        self.patients = patients

    async def tables(self) -> Words:
        self._done.append("tables")
        return np.full(CELLS, 5, np.uint64)

    async def answers(self) -> tuple[Words, tuple[int, ...]]:
        self._done.append("answers")
        return np.ones(CELLS, np.uint64), (2,)


def converted(
    monkeypatch: pytest.MonkeyPatch, *, tables: tuple[int, ...], patients: list[int]
) -> tuple[list[str], Words, tuple[int, ...]]:
    """What happens, in order; the share, and what was dropped."""
    done: list[str] = []
    monkeypatch.setattr(module, "Conversion", lambda *_, **__: Deposits(done, patients))
    worker = Worker(None, None)  # type: ignore[arg-type]

    def hear(_: Any, say: str, **__: Any) -> None:
        done.append(say)
        if say == "converted":
            worker._answers.put_nowait(Message(say="erased"))

    monkeypatch.setattr(module, "write_message", hear)
    assignment: Any = SimpleNamespace(
        descriptor=SimpleNamespace(cells=CELLS), signatures=None, session=b""
    )
    given: Any = SimpleNamespace(tables=tables)

    async def run() -> tuple[Words, tuple[int, ...]]:
        working = asyncio.ensure_future(worker._convert(None, assignment, given))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        assert "answers" not in done  # nothing opens before the server has answered
        if "reveal" in done:
            worker._answers.put_nowait(Message(say="noted"))
        return await asyncio.wait_for(working, 10)

    share, dropped = asyncio.run(run())
    return done, share, dropped


def test_the_charge_is_final_before_it_opens_which_deposits_are_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done, share, dropped = converted(monkeypatch, tables=(0,), patients=[1, 2])

    assert done == ["tables", "reveal", "answers", "converted", "phase"]
    assert share.tolist() == [6] * CELLS
    assert dropped == (2,)


@pytest.mark.parametrize(("tables", "sum_of"), [((0,), 5), ((), 0)])
def test_tables_alone_open_no_bit(
    monkeypatch: pytest.MonkeyPatch, tables: tuple[int, ...], sum_of: int
) -> None:
    done, share, dropped = converted(monkeypatch, tables=tables, patients=[])

    assert done == ["tables", "converted", "phase"][not tables :]
    assert share.tolist() == [sum_of] * CELLS
    assert dropped == ()


def test_a_charge_is_made_final_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patients' answers and a rule about cells in one study: the books take one step."""
    said: list[str] = []
    monkeypatch.setattr(module, "write_message", lambda _, say, **__: said.append(say))
    worker = Worker(None, None)  # type: ignore[arg-type]

    async def twice() -> None:
        worker._answers.put_nowait(Message(say="noted"))
        await worker._reveal()
        await worker._reveal()

    asyncio.run(twice())

    assert said == ["reveal"]


@pytest.mark.parametrize("lost", [False, True])
def test_a_key_converts_only_when_all_registries_inputs_are_there(
    monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """It converts once: a registry that is lost before it shares leaves it for another attempt."""
    done: list[str] = []
    zeros = np.zeros(CELLS, np.uint64)

    async def send(*_: Any, **__: Any) -> None:
        done.append("send")

    async def take(*_: Any, **__: Any) -> Inputs:
        done.append("take")
        if lost:
            raise LinkError("fr-a is lost")
        return Inputs(share=zeros, hashes=())

    async def convert(*_: Any) -> tuple[Words, tuple[int, ...]]:
        done.append("convert")
        return zeros, ()

    async def agree(*_: Any, **__: Any) -> NoisySum:
        done.append("agree")
        raise SessionError("as far as this goes")

    async def nothing(*_: Any) -> None:
        return

    worker = Worker(None, None)  # type: ignore[arg-type]
    monkeypatch.setattr(module, "write_message", lambda *_, **__: None)
    monkeypatch.setattr(module, "send_input", send)
    monkeypatch.setattr(noisy_sum, "take_inputs", take)
    monkeypatch.setattr(noisy_sum, "agree_on_sum", agree)
    monkeypatch.setattr(worker, "_convert", convert)
    monkeypatch.setattr(worker, "_spend", nothing)
    engine = SimpleNamespace(agree_keys=nothing, local_random=SimpleNamespace(words=None))
    monkeypatch.setattr(module, "_engine", lambda *_: engine)
    assignment: Any = MagicMock(noise=zeros, program="noisy-sum/1", deposited=object())

    with pytest.raises(LinkError if lost else SessionError):
        asyncio.run(worker._compute(assignment, None))  # type: ignore[arg-type]

    assert done == (["send", "take"] if lost else ["send", "take", "convert", "agree"])
