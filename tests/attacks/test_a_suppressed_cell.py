"""Story: the platform, the researcher and one registry of three want a cell that was not shown.

A study shows no cell whose noisy value is below 5. The researcher opens every sealed share with her
key, the platform hands over all that it carries, and one computing registry gives its own shares,
its masks and every frame that it received. Together they know that the cell is below 5, which was
opened to them on purpose. They must not know more.

They try three ways: recombine what is in the sealed shares; look for another registry's share of
the cell among the frames; take the masks that they know off the opened difference. The tests show
what happens without the zeros in the sealed shares, and without a mask that each registry keeps to
itself: they have the cell at once.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc.link.memory import MemoryChannel, connect
from upcare_mpc.mpc import comparison, opening
from upcare_mpc.mpc import field as numbers
from upcare_mpc.mpc.bits import Bits, Boolean
from upcare_mpc.mpc.conversion import unslice
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.opening import Passing, open_passing, seal_share, unseal_passing
from upcare_mpc.mpc.programs.contract import Rules
from upcare_mpc.mpc.programs.suppress import passing_cells
from upcare_mpc.mpc.prss import LocalRandom

SESSION = bytes(32)
NAMES = ("de-a", "de-b", "fr-a")
BOUND = 5
CELLS = 640
RULES = Rules(suppress_below=BOUND, cohort=CELLS)
KEY = X25519PrivateKey.generate()
NOISY = np.random.default_rng(7).integers(-8, 18, CELLS)
HIDDEN = NOISY < BOUND


@dataclass
class Spy:
    """One curious registry: what it draws, sees and receives, beside its own share."""

    party: int
    frames: list[bytes] = field(default_factory=list)
    masks: list[Words] = field(default_factory=list)
    opened: Words | None = None

    def guess_from_the_opened_difference(self) -> Words:
        """``5 - v = y - A_0 - A_1``, with what it knows of the masks."""
        assert self.opened is not None
        left = self.opened
        for mask in self.masks:
            left = numbers.add(left, numbers.negate(mask))
        return numbers.add(np.full(CELLS, BOUND, np.uint64), numbers.negate(left))


@dataclass
class Outcome:
    """What a session leaves: true shares, and sealed ones."""

    shares: Words
    sealed: dict[int, bytes]

    def unsealed(self) -> dict[int, tuple[Passing, Words]]:
        """All sealed shares, opened with the researcher's key."""
        return {
            index: unseal_passing(
                sealed, KEY, session=SESSION, sender=NAMES[index], index=index, cells=CELLS
            )
            for index, sealed in self.sealed.items()
        }


def release(spy: Spy) -> Outcome:
    """Decide and seal, one registry spying."""
    shares = numbers.share(
        numbers.encode(NOISY), parties=3, threshold=1, random=LocalRandom().words
    )
    open_, known_to, send = comparison._open, Boolean.known_to, MemoryChannel.send

    async def watched_open(lane: Any, share: Words) -> Words:
        value = await open_(lane, share)
        if lane.index == spy.party:
            spy.opened = value
        return value

    def watched_masks(self: Boolean, owner: int, rows: int, words: int) -> tuple[Bits, Any]:
        bits, own = known_to(self, owner, rows, words)
        if own is not None and self.me == spy.party:
            spy.masks.append(unslice(own, CELLS) % np.uint64(numbers.PRIME))
        return bits, own

    def watched_send(self: MemoryChannel, peer: int, label: int, payload: Any) -> None:
        if peer == spy.party:
            spy.frames.append(bytes(payload))
        send(self, peer, label, payload)

    async def party(engine: Engine) -> bytes:
        me = engine.index
        passing = await passing_cells(engine, shares[me], RULES)
        public = KEY.public_key().public_bytes_raw()
        return seal_share(
            shares[me], public, session=SESSION, sender=NAMES[me], index=me, passing=passing
        )

    async def session() -> list[bytes]:
        engines = [
            Engine(channel, parties=3, threshold=1, session=SESSION, program="p")
            for channel in connect(3)
        ]
        await asyncio.gather(*[engine.agree_keys() for engine in engines])
        async with asyncio.TaskGroup() as group:
            tasks = [engine.branch(party(engine), group=group) for engine in engines]
        return [task.result() for task in tasks]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "_open", watched_open)
        patch.setattr(Boolean, "known_to", watched_masks)
        patch.setattr(MemoryChannel, "send", watched_send)
        sealed = asyncio.run(asyncio.wait_for(session(), 30))
    return Outcome(shares=shares, sealed=dict(enumerate(sealed)))


def test_the_researcher_gets_what_is_shown_and_nothing_else() -> None:
    outcome = release(Spy(0))

    opened = open_passing(outcome.unsealed(), parties=3, threshold=1)

    assert opened.passing is not None
    assert np.array_equal(opened.passing.shown, ~HIDDEN)
    assert opened.noisy.tolist() == [None if v < BOUND else v for v in NOISY.tolist()]
    for _, share in outcome.unsealed().values():
        assert not share[HIDDEN].any()


@pytest.mark.parametrize("party", [0, 1, 2])
def test_her_shares_and_one_registrys_own_recombine_to_nothing(party: int) -> None:
    """One true share and zeros: the line through them has nothing to do with the cell."""
    outcome = release(Spy(party))
    other = (party + 1) % 3

    points = {party: outcome.shares[party], other: outcome.unsealed()[other][1]}
    guess = numbers.decode(numbers.open_shares(points, threshold=1))

    assert np.array_equal(guess[~HIDDEN], NOISY[~HIDDEN])
    assert not (guess[HIDDEN] == NOISY[HIDDEN]).any()


def test_shares_that_are_sealed_whole_give_the_cell_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bits alone protect nothing: it is leaving the shares out that does."""
    everything = Passing(cohort_met=True, shown=np.ones(CELLS, np.bool_))
    original = opening.seal_share

    def forgetful(share: Words, *args: Any, passing: Passing, **options: Any) -> bytes:
        return original(share, *args, passing=everything, **options)

    monkeypatch.setitem(globals(), "seal_share", forgetful)

    opened = open_passing(release(Spy(0)).unsealed(), parties=3, threshold=1)

    assert np.array_equal(opened.noisy, NOISY)


def holds(frames: list[bytes], words: Words) -> bool:
    """Whether any of these field elements was received, at any place of any frame."""
    wanted = set(words.tolist())
    return any(
        not wanted.isdisjoint(np.frombuffer(frame[: len(frame) // 8 * 8], "<u8").tolist())
        for frame in frames
    )


@pytest.mark.parametrize("party", [0, 1, 2])
def test_no_other_registrys_share_of_the_cell_was_received(party: int) -> None:
    spy = Spy(party)
    outcome = release(spy)

    for other in {0, 1, 2} - {party}:
        share = outcome.shares[other]
        assert not holds(spy.frames, share[HIDDEN])
        assert not holds(spy.frames, numbers.negate(share[HIDDEN]))
        assert holds([*spy.frames, numbers.to_bytes(share)], share[HIDDEN][:1])  # it would be seen


@pytest.mark.parametrize("party", [0, 1, 2])
def test_the_opened_difference_tells_nothing_without_the_other_mask(party: int) -> None:
    spy = Spy(party)
    release(spy)

    guess = spy.guess_from_the_opened_difference()

    assert len(spy.masks) == (party < 2)
    assert not (np.abs(numbers.decode(guess)) < 2**30).any()  # 2^-30 a cell by accident


def test_a_mask_that_two_registries_know_gives_one_of_them_every_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The known mistake: mask k from the key of the pair {k, k + 1}. Registry 1 is in both."""
    spy = Spy(1)

    def pair_masks(self: Boolean, owner: int, rows: int, words: int) -> tuple[Bits, Any]:
        pair = (owner, owner + 1)
        bits = self.zeros(rows, words)
        if pair not in self._row:
            return bits, None
        row = bits[self._row[pair]]
        self._lane.fill(row, pair, "mask", dealer=owner)
        if self.me == spy.party:
            spy.masks.append(unslice(row, CELLS) % np.uint64(numbers.PRIME))
        return bits, row.copy() if owner == self.me else None

    monkeypatch.setattr(Boolean, "known_to", pair_masks)

    outcome = release(spy)
    # release() noted registry 1's own mask a second time
    spy.masks = spy.masks[:2]

    assert np.array_equal(numbers.decode(spy.guess_from_the_opened_difference()), NOISY)
    opened = open_passing(outcome.unsealed(), parties=3, threshold=1)  # and nothing looks wrong
    assert opened.noisy.count() == np.count_nonzero(~HIDDEN)
