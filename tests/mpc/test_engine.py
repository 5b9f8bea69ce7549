"""MPyC inside: argv is left alone, its arrays are our shares, and nothing is ever unpickled."""

import asyncio
import datetime
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from upcare_mpc.errors import LinkError, ProtocolError
from upcare_mpc.link.certificates import new_authority
from upcare_mpc.link.memory import MemoryChannel, connect
from upcare_mpc.mpc import field
from upcare_mpc.mpc.channel import KEYS
from upcare_mpc.mpc.engine import Engine, EngineLane, mpyc
from upcare_mpc.mpc.prss import Purpose, Subset, subsets

Together = Callable[[int, int, Callable[[Engine], Awaitable[Any]]], list[Any]]
PROCESS = Path(__file__).with_name("party_process.py")
NAMES = ["de-a", "de-b", "fr-a"]


# -- one process ------------------------------------------------------------------------------


def in_process(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    return done.stdout


def test_importing_the_engine_leaves_argv_alone() -> None:
    arguments = ["node", "-T", "1", "-I", "0", "-M", "3", "-P", "x", "--study", "x.toml", "-h"]

    printed = in_process(
        "import sys, json, upcare_mpc.mpc.engine; print(json.dumps(sys.argv[1:]))", *arguments
    )

    assert json.loads(printed) == arguments


def test_importing_the_engine_leaves_logging_alone() -> None:
    printed = in_process(
        "import logging\n"
        "before = (logging.root.handlers[:], logging.root.level, logging.root.manager.disable)\n"
        "import upcare_mpc.mpc.engine\n"
        "print(before == (logging.root.handlers, logging.root.level, logging.root.manager.disable))"
    )

    assert printed == "True\n"


def test_only_the_engine_loads_mpyc() -> None:
    printed = in_process(
        "import sys\n"
        "import upcare_mpc.mpc.noise, upcare_mpc.mpc.opening, upcare_mpc.mpc.programs.inputs\n"
        "import upcare_mpc.mpc.programs.contract, upcare_mpc.link.grpc_channel\n"
        "print('mpyc' in sys.modules)"
    )

    assert printed == "False\n"


@pytest.mark.parametrize(("m", "t"), [(2, 1), (3, 2), (4, 2)])
def test_a_threshold_of_half_the_parties_is_refused(m: int, t: int) -> None:
    async def build() -> None:
        with pytest.raises(ProtocolError, match="below m/2"):
            Engine(connect(m)[0], parties=m, threshold=t, session=bytes(32), program="p")

    asyncio.run(build())


def test_a_lane_before_the_keys_is_a_mistake_of_the_program() -> None:
    async def build() -> None:
        engine = Engine(connect(3)[0], parties=3, threshold=1, session=bytes(32), program="p")
        with pytest.raises(AssertionError, match="keys are agreed"):
            engine.lane()

    asyncio.run(build())


@pytest.mark.parametrize(("m", "t"), [(3, 1), (5, 2), (7, 3)])
def test_all_members_of_a_set_agree_on_its_key(together: Together, m: int, t: int) -> None:
    async def keys(engine: Engine) -> dict[tuple[int, ...], bytes]:
        assert engine._prss is not None
        return dict(engine._prss._keys)

    held = together(m, t, keys)

    for subset in {s for mine in held for s in mine}:
        holders = [i for i, mine in enumerate(held) if subset in mine]
        assert holders == list(subset)
        assert len({held[i][subset] for i in holders}) == 1
    assert len({key for mine in held for key in mine.values()}) == len(subsets(m, t))


@pytest.mark.parametrize("stubborn", [0, 1, 2])
def test_no_member_alone_decides_a_key(
    together: Together, monkeypatch: pytest.MonkeyPatch, stubborn: int
) -> None:
    """MPyC lets the lowest member choose. Here one party contributes the same bytes in two
    sessions, and every key changes all the same."""
    calls = iter(range(100))

    def contribution(length: int) -> bytes:
        party = next(calls) % 6 // 2  # each of three parties draws two contributions, in order
        return bytes(length) if party == stubborn else os.urandom(length)

    monkeypatch.setattr("upcare_mpc.mpc.engine.os", SimpleNamespace(urandom=contribution))

    async def keys(engine: Engine) -> dict[tuple[int, ...], bytes]:
        assert engine._prss is not None
        return dict(engine._prss._keys)

    first, second = (together(3, 1, keys) for _ in range(2))

    for before, after in zip(first, second, strict=True):
        assert not set(before.values()) & set(after.values())


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_key_contributions_of_a_wrong_length_are_refused(length: int) -> None:
    async def run() -> None:
        channels = connect(3)
        engine = Engine(channels[0], parties=3, threshold=1, session=bytes(32), program="p")
        channels[1].send(0, KEYS, bytes(length))
        channels[2].send(0, KEYS, bytes(32))
        with pytest.raises(ProtocolError, match="party 1 sent key contributions of a wrong length"):
            await engine.agree_keys()

    asyncio.run(run())


def draw(lane: EngineLane, subset: Subset, purpose: Purpose = "bit", dealer: int = 0) -> bytes:
    words = np.empty(4, np.uint64)
    lane.fill(words, subset, purpose, dealer=dealer)
    return words.tobytes()


def test_concurrent_branches_have_labels_and_streams_of_their_own(together: Together) -> None:
    async def work(engine: Engine) -> tuple[list[int], list[bytes]]:
        async def branch() -> tuple[int, bytes]:
            lane = engine.lane()
            subset = (0, 1) if engine.index < 2 else (0, 2)
            drawn = draw(lane, subset)
            await asyncio.sleep(0.001 * engine.index)
            return lane.new_round(), drawn

        async with asyncio.TaskGroup() as group:
            tasks = [engine.branch(branch(), group=group) for _ in range(4)]
        labels, drawn = zip(*[task.result() for task in tasks], strict=True)
        return list(labels), list(drawn)

    results = together(3, 1, work)

    assert len(set(results[0][0])) == 4
    assert len(set(results[0][1])) == 4
    assert all(labels == results[0][0] for labels, _ in results)
    assert results[0][1] == results[1][1]


def test_two_lanes_of_one_branch_cannot_draw_the_same_words(together: Together) -> None:
    async def work(engine: Engine) -> str:
        if engine.index == 2:
            return "twice"
        draw(engine.lane(), (0, 1))
        with pytest.raises(AssertionError) as caught:
            draw(engine.lane(), (0, 1))
        return str(caught.value)

    assert all("twice" in text for text in together(3, 1, work))


def test_a_lane_reads_each_of_its_streams_on_and_its_peers_follow(together: Together) -> None:
    async def work(engine: Engine) -> list[bytes]:
        lane = engine.lane()
        return [
            draw(lane, (0, 1, 2), purpose, dealer)
            for _ in range(3)
            for purpose, dealer in (("bit", 0), ("and", 0), ("and", 1))
            if engine.index in (0, 1, 2)
        ]

    first, second, third, *_ = together(5, 2, work)

    assert first == second == third
    assert len(set(first)) == 9


@pytest.mark.parametrize("length", [0, 7, 23, 25, 32])
def test_a_lane_refuses_a_frame_of_a_wrong_length(together: Together, length: int) -> None:
    async def work(engine: Engine) -> str:
        lane = engine.lane()
        label = lane.new_round()
        if engine.index == 1:
            engine._channel.send(0, label, bytes(length))
        if engine.index != 0:
            return ""
        with pytest.raises(ProtocolError) as caught:
            await lane.receive(1, label, count=3)
        return str(caught.value)

    text = f"party 1 sent a frame of {length} bytes where 24 were due"
    assert together(3, 1, work)[0] == text


def test_a_lost_peer_fails_a_waiting_branch(together: Together) -> None:
    async def work(engine: Engine) -> bool:
        lane = engine.lane()
        label = lane.new_round()
        if engine.index == 2:
            await asyncio.sleep(0.01)
            channel = engine._channel
            assert isinstance(channel, MemoryChannel)
            channel.lose()
            return True
        with pytest.raises(LinkError, match="lost"):
            await asyncio.wait_for(lane.receive(2, label, count=1), 5)
        return True

    assert together(3, 1, work) == [True] * 3


def test_a_branch_can_handle_a_lost_peer_and_go_on(together: Together) -> None:
    """MPyC's wrapper of coroutines would end the branch past its ``except`` and ``finally``."""

    async def work(engine: Engine) -> tuple[list[str], int]:
        lane = engine.lane()
        label = lane.new_round()
        story = []
        if engine.index == 2:
            await asyncio.sleep(0.01)
            assert isinstance(engine._channel, MemoryChannel)
            engine._channel.lose()
        else:
            try:
                await lane.receive(2, label, count=1)
            except LinkError:
                story.append("caught")
            finally:
                story.append("finished")
        return story, lane.new_round() - label

    results = together(3, 1, work)

    assert results == [(["caught", "finished"], 1)] * 2 + [([], 1)]


def test_a_cancelled_branch_is_cleaned_up_whether_it_had_started_or_not() -> None:
    async def run() -> list[str]:
        engine = Engine(connect(3)[0], parties=3, threshold=1, session=bytes(32), program="p")
        story = []

        async def wait_for_ever() -> None:
            try:
                await engine._channel.receive(1, 1)
            finally:
                story.append("cleaned up")

        async def fail() -> None:
            await asyncio.sleep(0.01)
            engine.branch(never_started(), group=group).cancel()
            raise LinkError("gone")

        async def never_started() -> None:
            story.append("started")

        try:
            async with asyncio.TaskGroup() as group:
                engine.branch(wait_for_ever(), group=group)
                engine.branch(fail(), group=group)
        except* LinkError:
            story.append("failed")
        return story

    assert asyncio.run(run()) == ["cleaned up", "failed"]


def test_an_object_is_not_transferred() -> None:
    async def run() -> None:
        engine = Engine(connect(3)[0], parties=3, threshold=1, session=bytes(32), program="p")
        for thing in (5, "text", [b"x"], None, bytearray(3), {"a": 1}):
            with pytest.raises(ProtocolError, match="only bytes"):
                await engine.transfer(thing)  # type: ignore[arg-type]
        with pytest.raises(ProtocolError, match="between all parties"):
            await engine.transfer(b"x", senders=[0])

    asyncio.run(run())


def test_mpycs_runtime_has_no_pickle() -> None:
    with pytest.raises(ProtocolError, match="pickled object"):
        mpyc.runtime.pickle.loads(pickle.dumps(1))
    with pytest.raises(ProtocolError, match="never pickled"):
        mpyc.runtime.pickle.dumps(1)


def test_no_module_of_ours_or_of_the_runtime_can_load_a_pickle() -> None:
    """Who else could: mpyc.finfields only defines how its elements would be pickled."""
    root = Path(__file__).parents[2] / "upcare_mpc"
    words = ("pickle.load", "Unpickler", "marshal.load", "shelve.", "yaml.load", "allow_pickle=T")
    guilty = [
        path.name for path in root.rglob("*.py") if any(word in path.read_text() for word in words)
    ]
    assert guilty == []
    using = {p.name for p in Path(mpyc.__file__).parent.glob("*.py") if "pickle." in p.read_text()}
    assert using == {"runtime.py"}


# -- one process a party ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    now = datetime.datetime.now(datetime.UTC)
    authority = new_authority("test", now=now)
    for name in NAMES:
        certificate, key = authority.admit(name, "registry", now=now)
        (folder / name).mkdir()
        (folder / name / "ca.pem").write_bytes(authority.certificate_pem)
        (folder / name / "party.pem").write_bytes(certificate)
        (folder / name / "party.key").write_bytes(key)
    return folder


def play(network: Path, story: str, marker: Path) -> list[dict[str, Any] | None]:
    """Run three parties; the answer of one that died is ``None``."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(PROCESS), str(network), str(index), story, str(marker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(3)
    ]
    try:
        ports = [int(process.stdout.readline()) for process in processes if process.stdout]
        line = json.dumps(ports) + "\n"
        with ThreadPoolExecutor() as pool:
            ends = list(pool.map(lambda process: process.communicate(line, timeout=40), processes))
    finally:
        for process in processes:
            process.kill()
    sys.stderr.write("".join(stderr for _, stderr in ends))
    return [json.loads(stdout) if stdout.strip() else None for stdout, _ in ends]


@pytest.mark.parties
def test_our_shares_go_through_mpycs_product_and_come_back(network: Path, tmp_path: Path) -> None:
    answers = play(network, "product", tmp_path / "touched")

    def opened(name: str) -> list[int]:
        shares = {i: np.array(a[name], np.uint64) for i, a in enumerate(answers) if a}
        return field.open_shares(shares, threshold=1).tolist()

    x = opened("x")
    assert any(x)
    assert opened("y") == [(v * v + 3) % field.PRIME for v in x]
    assert all(a is not None and a["mpyc"] == opened("y") for a in answers)
    assert set(opened("prss")) <= {0, 1}  # MPyC's own pseudorandom sharing works on our keys
    assert [a and a["argv"][1:3] for a in answers] == [[str(i), "product"] for i in range(3)]


@pytest.mark.parties
def test_bytes_are_transferred_and_a_pickle_among_them_stays_bytes(
    network: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "touched"

    answers = play(network, "transfer", marker)

    received = [a["received"] for a in answers if a]
    assert len(received) == 3
    assert received[0] == received[1] == received[2]
    assert bytes.fromhex(received[0][0]) == b"from 0"
    assert not marker.exists()
    pickle.loads(bytes.fromhex(received[0][2]))  # the mark works: only we were not to be caught
    assert marker.exists()


@pytest.mark.parties
@pytest.mark.parametrize("story", ["pickle_array", "short_array"])
def test_a_peer_that_sends_no_field_elements_to_mpyc_is_refused(
    network: Path, tmp_path: Path, story: str
) -> None:
    marker = tmp_path / "touched"

    answers = play(network, story, marker)

    assert not marker.exists()
    for answer in answers[:2]:
        assert answer is not None
        assert answer["error"] == "ProtocolError"


@pytest.mark.parties
def test_a_lost_peer_fails_mpycs_own_operations(network: Path, tmp_path: Path) -> None:
    started = time.monotonic()

    answers = play(network, "lost", tmp_path / "touched")

    assert time.monotonic() - started < 30
    assert answers[2] is None
    for answer in answers[:2]:
        assert answer is not None
        assert answer["error"] == "LinkError"
