"""The noise bank of a node: what is ready, what is burnt, and what is lost on purpose."""

import copy
import shutil
from fractions import Fraction
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from banks import LAW, NAMES, fill_of, made, nothing, put
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from upcare_mpc.errors import ProtocolError, RefusedError
from upcare_mpc.mpc.noise import Law
from upcare_mpc.mpc.programs.fill import Fill
from upcare_mpc.mpc.programs.segments import Segments, open_segments, seal_segments
from upcare_mpc.node.bank import MAX_LAWS, NoiseBank
from upcare_mpc.privacy.laplace import sample_law
from upcare_mpc.storage.bank import BankMarks
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import NODE
from upcare_mpc.study.draw import SEGMENT_CELLS, Draw
from upcare_mpc.study.layout import Sensitivity


def filled(folder: Path, *, segments: int = 4) -> tuple[NoiseBank, Fill]:
    """De-a's bank, and the fill that filled it."""
    bank = made(folder)
    fill = fill_of([bank.life, bytes(16), bytes(16)], segments=segments)
    bank.want(fill.committee, NAMES, LAW)
    put(bank, fill, "de-a", nothing(fill))
    return bank, fill


def take(bank: NoiseBank, fill: Fill, first: int, count: int = 1) -> Segments:
    return bank.take(fill.committee, fill.law, Draw(epoch=fill.digest, first=first, count=count))


def files(folder: Path) -> int:
    return len(list((folder / "bank").iterdir()))


def another_law(number: int) -> Law:
    return sample_law(Fraction(3 + number), Sensitivity(d0=1, d1=1, dinf=1))


def test_what_was_stored_is_handed_out_once_and_its_file_is_gone(tmp_path: Path) -> None:
    bank = made(tmp_path)
    fill = fill_of([bank.life, bytes(16), bytes(16)])
    noise = np.arange(fill.cells, dtype=np.uint64)
    bank.want(fill.committee, NAMES, LAW)
    put(bank, fill, "de-a", seal_segments(noise, epoch=fill.digest, place=0))

    got = take(bank, fill, 1, 2)

    opened = open_segments(got, epoch=fill.digest, place=0, first=1, cells=5000)
    assert opened.tolist() == noise[SEGMENT_CELLS : SEGMENT_CELLS + 5000].tolist()
    ((_, left),) = bank.banks
    assert (left.next, list(left.keys), files(tmp_path)) == (3, [3], 1)
    for first in range(3):
        with pytest.raises(RefusedError, match="has used this noise before"):
            take(bank, fill, first)


def test_the_next_life_can_read_nothing_and_clears_up(tmp_path: Path) -> None:
    _, fill = filled(tmp_path)
    assert files(tmp_path) == 4

    again = made(tmp_path)
    again.want(fill.committee, NAMES, LAW)

    assert files(tmp_path) == 0
    with pytest.raises(RefusedError, match="has another noise bank than the others"):
        take(again, fill, 0)
    with pytest.raises(RefusedError, match="was started again since"):
        again.begin(fill, name="de-a")


def test_a_bank_that_the_others_do_not_have_is_discarded(tmp_path: Path) -> None:
    bank, fill = filled(tmp_path)
    theirs = Draw(epoch=bytes(32), first=0, count=1)

    with pytest.raises(RefusedError, match="has another noise bank than the others; it is disc"):
        bank.take(fill.committee, fill.law, theirs)

    assert files(tmp_path) == 0
    with pytest.raises(RefusedError):
        take(bank, fill, 0)


def test_a_fill_that_fails_leaves_nothing_and_the_old_bank_as_it_was(tmp_path: Path) -> None:
    bank, old = filled(tmp_path)
    new = fill_of([bank.life, bytes(16), bytes(16)])
    bank.begin(new, name="de-a")
    bank.store(new, nothing(new))

    bank.drop(new)

    assert files(tmp_path) == 4
    with pytest.raises(RefusedError, match="has begun this noise bank before"):
        bank.begin(new, name="de-a")
    with pytest.raises(RefusedError):
        bank.confirm(new)
    assert len(take(bank, old, 0, 4).keys) == 4


def test_a_new_bank_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    bank, old = filled(tmp_path)
    new = fill_of([bank.life, bytes(16), bytes(16)], segments=6)

    put(bank, new, "de-a", nothing(new))

    assert files(tmp_path) == 6
    with pytest.raises(RefusedError):
        take(bank, old, 0)


def test_banks_shared_with_an_earlier_life_of_a_peer_are_discarded(tmp_path: Path) -> None:
    bank, _ = filled(tmp_path)
    law = another_law(0)
    new = fill_of([bank.life, b"restarted".ljust(16), bytes(16)], law=law)
    bank.want(new.committee, NAMES, law)

    put(bank, new, "de-a", nothing(new))

    assert [(b.law, len(b.keys)) for _, b in bank.banks] == [(LAW, 0), (law, 4)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"law": another_law(0)}, "keeps no noise bank of this law with these registries"),
        ({"names": ("de-a", "de-c", "de-b")}, "keeps no noise bank of this law with these"),
        ({"segments": 11}, "has room for 10 segments of noise, 11 were proposed"),
    ],
    ids=["a-law-that-no-study-had", "another-order", "more-than-it-has-room-for"],
)
def test_a_fill_that_this_node_did_not_ask_for_is_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    bank, _ = filled(tmp_path)

    with pytest.raises(RefusedError, match=words):
        bank.begin(fill_of([bank.life, bytes(16), bytes(16)], **change), name="de-a")


def test_a_fill_of_another_length_than_agreed_is_not_stored(tmp_path: Path) -> None:
    bank, _ = filled(tmp_path)
    fill = fill_of([bank.life, bytes(16), bytes(16)], segments=2)
    short = fill_of([bank.life, bytes(16), bytes(16)], segments=1)
    bank.begin(fill, name="de-a")

    with pytest.raises(ProtocolError, match="a fill has 2 segments, got 1"):
        bank.store(fill, nothing(short))


def test_the_law_least_recently_wanted_makes_room_for_another(tmp_path: Path) -> None:
    bank, fill = filled(tmp_path)

    for number in range(MAX_LAWS):
        bank.want(fill.committee, NAMES, another_law(number))

    assert len(bank.banks) == MAX_LAWS
    assert files(tmp_path) == 0
    with pytest.raises(RefusedError):
        take(bank, fill, 0)


def test_a_file_that_is_gone_or_short_ends_the_bank(tmp_path: Path) -> None:
    bank, fill = filled(tmp_path)
    for file in (tmp_path / "bank").glob("*-2"):
        file.write_bytes(b"")

    take(bank, fill, 0, 2)
    with pytest.raises(RefusedError, match="has lost segments of its noise bank"):
        take(bank, fill, 2, 2)

    assert files(tmp_path) == 0


def test_a_node_that_keeps_no_bank_wants_none(tmp_path: Path) -> None:
    bank = made(tmp_path, cells=0)

    bank.want(bytes(32), NAMES, LAW)

    assert bank.banks == []
    assert not (tmp_path / "bank").exists()


# -- whatever crashes, is restored or is asked twice --------------------------------------------


def test_a_memory_that_was_put_back_is_noticed_by_the_disk(tmp_path: Path) -> None:
    bank, fill = filled(tmp_path)
    before = copy.deepcopy(bank._banks)
    take(bank, fill, 0)

    bank._banks = before

    with pytest.raises(RefusedError, match="has used this noise before"):
        take(bank, fill, 0)


def test_a_disk_that_was_put_back_is_noticed_by_the_memory(tmp_path: Path) -> None:
    bank, fill = filled(tmp_path)
    bank._marks._database.close()
    shutil.copytree(tmp_path, tmp_path.with_name("copy"))
    take(bank, fill, 0)

    bank._marks._database.close()
    shutil.rmtree(tmp_path)
    shutil.copytree(tmp_path.with_name("copy"), tmp_path)

    with pytest.raises(RefusedError, match="has lost segments of its noise bank"):
        take(bank, fill, 0)
    with pytest.raises(RefusedError):
        take(bank, fill, 1)


SOME = st.sampled_from(("de-a", *NAMES))


class Interleavings(RuleBasedStateMachine):
    """Three nodes and a platform that proposes any draw at any time.

    A session begins when all three have handed out its noise. De-b and de-c may be rolled back as
    whole machines. De-a may lose its process, and have its disk put back, or its memory, but not
    both: no mark inside a machine can notice that; what does is that one other has gone on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(mkdtemp(prefix="upcare-banks-"))
        self.banks: dict[str, NoiseBank] = {}
        self.copies: dict[str, tuple[Any, Any, bytes]] = {}
        self.epochs: list[bytes] = []
        self.proposed: list[Draw] = []
        self.begun: list[tuple[bytes, int]] = []  # (epoch, segment) of sessions that began
        self.handed: list[tuple[bytes, int]] = []  # what de-a has handed out

    def teardown(self) -> None:
        for bank in self.banks.values():
            bank._marks._database.close()
        shutil.rmtree(self.home)

    @initialize(memory=st.booleans())
    def start(self, memory: bool) -> None:
        self.memory_of_one = memory
        for name in NAMES:
            self.restart(name)
        self.fill(4)

    @rule(segments=st.integers(2, 4))
    def fill(self, segments: int) -> None:
        fill = fill_of([self.banks[name].life for name in NAMES], segments=segments)
        self.committee = fill.committee
        for name, bank in self.banks.items():
            bank.want(fill.committee, NAMES, LAW)
            put(bank, fill, name, nothing(fill))
        self.epochs.append(fill.digest)

    @rule(first=st.integers(0, 3), count=st.integers(1, 2))
    def propose(self, first: int, count: int) -> None:
        self._propose(Draw(epoch=self.epochs[-1], first=first, count=count))

    @rule(back=st.integers(1, 3))
    def propose_again(self, back: int) -> None:
        if len(self.proposed) >= back:
            self._propose(self.proposed[-back])

    def _propose(self, draw: Draw) -> None:
        self.proposed.append(draw)
        segments = [(draw.epoch, i) for i in range(draw.first, draw.first + draw.count)]
        agreed = 0
        for name, bank in self.banks.items():
            try:
                bank.take(self.committee, LAW.digest, draw)
            except RefusedError:
                continue
            agreed += 1
            if name == "de-a":
                self.handed += segments
        if agreed == len(NAMES):
            self.begun += segments

    @rule(name=st.sampled_from(NAMES))
    def restart_and_fill(self, name: str) -> None:
        self.restart(name)
        self.fill(2)

    def restart(self, name: str) -> None:
        if name in self.banks:
            self.banks[name]._marks._database.close()
        self.banks[name] = made(self.home / name)

    @rule(name=SOME)
    def copy(self, name: str) -> None:
        bank = self.banks[name]
        bank._marks._database.close()
        shutil.copytree(self.home / name, self.home / f"{name}.copy", dirs_exist_ok=True)
        self._reopen(name)
        self.copies[name] = (copy.deepcopy(bank._banks), copy.deepcopy(bank._filling), bank.life)

    @rule(name=SOME, memory=st.booleans(), disk=st.booleans())
    def put_back(self, name: str, memory: bool, disk: bool) -> None:
        if name not in self.copies:
            return
        if name == "de-a":
            memory, disk = self.memory_of_one, not self.memory_of_one
        bank = self.banks[name]
        if memory:
            bank._banks, bank._filling, bank.life = copy.deepcopy(self.copies[name])
        if disk:
            bank._marks._database.close()
            shutil.rmtree(self.home / name)
            shutil.copytree(self.home / f"{name}.copy", self.home / name)
            self._reopen(name)

    def _reopen(self, name: str) -> None:
        database = Database(f"sqlite:///{self.home / name / 'node.db'}", NODE)
        self.banks[name]._marks = BankMarks(database)

    @invariant()
    def no_segment_is_used_by_two_sessions(self) -> None:
        assert len(set(self.begun)) == len(self.begun)

    @invariant()
    def what_a_node_hands_out_once_it_never_hands_out_again(self) -> None:
        assert len(set(self.handed)) == len(self.handed)


Interleavings.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestInterleavings = Interleavings.TestCase
