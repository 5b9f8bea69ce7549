"""Deposits from files to shares: the right sum, from the right files, and agreed on."""

import asyncio
import datetime
import gc
import itertools
import json
import weakref
from collections.abc import Callable, Coroutine, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from collected import Dealt, collection_of, dealt

from upcare_mpc.cli.network import admit_party, found_network
from upcare_mpc.deposits.submission import Deposit
from upcare_mpc.errors import ProtocolError, UpcareError
from upcare_mpc.he import ring
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.memory import connect
from upcare_mpc.mpc import field
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.programs import answers
from upcare_mpc.mpc.programs.inputs import Signatures
from upcare_mpc.node import conversion
from upcare_mpc.node.assignment import Deposited
from upcare_mpc.node.conversion import Conversion

NAMES = ("de-a", "de-b", "de-c", "de-d")
TABLES = ((0, 3, 1), (3, 3, 1))
SESSION = bytes(range(32))
Work = Callable[[Conversion], Coroutine[Any, Any, Any]]


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    folder = tmp_path_factory.mktemp("network")
    found_network(folder / "net", name="test", overlap=1, committee=3)
    found = {}
    for name in (*NAMES, "fr-a", "fr-b"):
        admit_party(folder / "net", name, role="registry", out=folder / name)
        found[name] = Identity.load(folder / name, now=datetime.datetime.now(datetime.UTC))
    return found


@pytest.fixture(scope="module")
def keys(identities: dict[str, Identity]) -> dict[str, Dealt]:
    """Four hold the key; any three of them convert."""
    holders = [identities[name] for name in NAMES]
    return {
        envelope: dealt(collection_of(holders, envelope=envelope, depositors=("fr-a", "fr-b")))
        for envelope in ("rlwe", "sealed")
    }


@pytest.fixture(params=["rlwe", "sealed"])
def key(request: pytest.FixtureRequest, keys: dict[str, Dealt]) -> Dealt:
    return keys[request.param]


def signatures(me: int) -> Signatures:
    """Hashes with the name of who signs stand for signatures."""

    def signed(party: int, statement: bytes) -> bytes:
        return sha256(bytes([party]) + statement).digest()

    def verify(party: int, statement: bytes, signature: bytes) -> None:
        if signature != signed(party, statement):
            raise ProtocolError("a signature is not the named party's")

    return Signatures(sign=lambda statement: signed(me, statement), verify=verify)


def given(
    key: Dealt,
    folder: Path,
    deposits: Sequence[Deposit],
    *,
    tables: Sequence[int] = (),
    quorum: Sequence[int] = (0, 1, 2),
    accepted: Sequence[int] | None = None,
    charged: Sequence[str] = NAMES,
) -> list[Deposited]:
    """What each computing registry is given; the deposits lie in one folder here."""
    folder.mkdir(exist_ok=True)
    for place, deposit in enumerate(deposits):
        (folder / str(place)).write_bytes(deposit.to_bytes())
    entering = range(len(deposits)) if accepted is None else accepted
    return [
        Deposited(
            collection=key.collection,
            folder=str(folder),
            accepted=tuple((place, deposits[place].digest.hex()) for place in entering),
            tables=tuple(tables),
            answers=TABLES,
            charged=tuple(charged),
            points=tuple(holder + 1 for holder in quorum),
            sealing=key.sealing[holder].private_bytes_raw(),
            sigma=ring.to_bytes(key.sigma[holder]) if key.sigma else b"",
        )
        for holder in quorum
    ]


def together(deposited: Sequence[Deposited], work: Work) -> list[Any]:
    """Run it at three computing registries in this process."""

    async def session() -> list[Any]:
        engines = [
            Engine(channel, parties=3, threshold=1, session=SESSION, program="test/1")
            for channel in connect(3)
        ]
        await asyncio.gather(*[engine.agree_keys() for engine in engines])
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[Any]] = [
                engine.branch(
                    work(Conversion(engine, one, signatures(me), session=SESSION)), group=group
                )
                for me, (engine, one) in enumerate(zip(engines, deposited, strict=True))
            ]
        return [task.result() for task in tasks]

    return asyncio.run(asyncio.wait_for(session(), 60))


def opened(shares: Sequence[Any]) -> list[int]:
    """The vector; the shares lie on one polynomial of degree t."""
    values = field.open_shares(dict(enumerate(shares)), threshold=1)
    return list(map(int, field.decode(values)))


@pytest.mark.parametrize("quorum", [(0, 1, 2), (3, 1, 0), (1, 2, 3)])
def test_tables_of_registries_are_one_sum_whoever_of_the_holders_converts(
    key: Dealt, identities: dict[str, Identity], tmp_path: Path, quorum: tuple[int, ...]
) -> None:
    deposits = [
        key.table(identities["fr-a"], 1, 20, 300, 4000, 0, -6),
        key.answers(identities["de-a"], 1, 0, 0, 0, 0, 0),  # is not a table
        key.table(identities["fr-b"], 10**15, 0, 0, 0, 5, 0),
    ]

    shares = together(
        given(key, tmp_path, deposits, tables=(0, 2), quorum=quorum), lambda c: c.tables()
    )

    assert opened(shares) == [10**15 + 1, 20, 300, 4000, 5, -6]


@pytest.mark.parametrize("batch", [1, 2, 256])
def test_answers_are_added_and_what_is_none_is_dropped(
    key: Dealt,
    identities: dict[str, Identity],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
) -> None:
    monkeypatch.setattr(conversion, "BATCH_DEPOSITS", batch)
    a = identities["de-a"]
    deposits = [
        key.answers(a, 1, 0, 0, 0, 1, 0),
        key.answers(a, 2, 0, 0, 0, 0, 0),  # twice
        key.table(identities["fr-a"], 9, 9, 9, 9, 9, 9),
        key.answers(a, 0, 0, 0, 0, 1, 0),
        key.answers(a, 1, 1, 0, 0, 0, 0),  # two options
        key.answers(a, 1, 0, 0, 0, 0, 0),  # not among the accepted
        key.answers(a, 0, 0, 0, 0, 0, 0),
    ]
    files = given(key, tmp_path, deposits, tables=(2,), accepted=(0, 1, 2, 3, 4, 6))

    results = together(files, lambda c: c.answers())

    assert [dropped for _, dropped in results] == [(1, 4)] * 3
    assert opened([share for share, _ in results]) == [1, 0, 0, 0, 2, 0]


def test_patients_of_a_registry_that_takes_no_part_are_dropped(
    key: Dealt, identities: dict[str, Identity], tmp_path: Path
) -> None:
    """It vouched for her and was lost since: nobody is charged for her answers."""
    deposits = [
        key.answers(identities["de-a"], 1, 0, 0, 0, 0, 0),
        key.answers(identities["de-b"], 1, 0, 0, 0, 0, 0),
    ]
    files = given(key, tmp_path, deposits, charged=("de-a", "de-c", "de-d"))

    results = together(files, lambda c: c.answers())

    assert [dropped for _, dropped in results] == [(1,)] * 3
    assert opened([share for share, _ in results]) == [1, 0, 0, 0, 0, 0]


def test_a_share_alone_says_nothing_about_the_deposits(
    key: Dealt, identities: dict[str, Identity], tmp_path: Path
) -> None:
    """The same deposits twice: every registry's shares are fresh, in all cells."""
    files = given(key, tmp_path, [key.table(identities["fr-a"])], tables=(0,))

    first, second = (together(files, lambda c: c.tables()) for _ in range(2))

    assert opened(first) == opened(second) == [0] * 6
    for one, other in zip(first, second, strict=True):
        assert not (one == other).any()  # by chance with 2^-58
        assert one.all()


def refused(deposited: Sequence[Deposited], work: Work) -> list[str]:
    """What the registries' errors say, the first ones of those that failed."""
    with pytest.raises(ExceptionGroup) as caught:
        together(deposited, work)
    flat: list[str] = []

    def flatten(group: BaseExceptionGroup[Exception]) -> None:
        for error in group.exceptions:
            if isinstance(error, BaseExceptionGroup):
                flatten(error)
            else:
                assert isinstance(error, UpcareError)
                flat.append(str(error))

    flatten(caught.value)
    return flat


def test_a_quorum_that_does_not_hold_the_same_sum_converts_nothing(
    keys: dict[str, Dealt],
    identities: dict[str, Identity],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One registry was given another table for its place."""
    key = keys["rlwe"]
    deposits = [key.table(identities["fr-a"], 1, 0, 0, 0, 0, 0)]
    another = [key.table(identities["fr-a"], 2, 0, 0, 0, 0, 0)]
    files = given(key, tmp_path / "one", deposits, tables=(0,))
    files[2] = given(key, tmp_path / "other", another, tables=(0,))[2]
    conversions: list[int] = []
    monkeypatch.setattr(
        Conversion, "_addends", lambda self, _: conversions.append(self._engine.index)
    )

    said = refused(files, lambda c: c.tables())

    assert "the computing parties do not hold the same sum of deposits" in said
    assert conversions == []  # no share of a key has touched anything


def test_a_deposit_that_was_changed_on_the_disk_is_not_converted(
    key: Dealt, identities: dict[str, Identity], tmp_path: Path
) -> None:
    deposits = [key.answers(identities["de-a"])]
    files = given(key, tmp_path, deposits)
    other = key.answers(identities["de-a"], 1, 0, 0, 0, 0, 0)
    (tmp_path / "0").write_bytes(other.to_bytes())

    assert "a deposit is not the one that was frozen" in refused(files, lambda c: c.answers())


def test_verdicts_that_differ_add_nothing(
    key: Dealt,
    identities: dict[str, Identity],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest, turn = answers.check_answers, itertools.count()

    async def one_lies(*arguments: Any) -> list[bool]:
        verdicts = await honest(*arguments)
        return [not good for good in verdicts] if next(turn) == 0 else verdicts

    monkeypatch.setattr(answers, "check_answers", one_lies)
    files = given(key, tmp_path, [key.answers(identities["de-a"])])

    said = refused(files, lambda c: c.answers())

    assert "the computing parties do not agree on which deposits are answers" in said


@pytest.mark.slow
def test_a_deposit_is_read_when_its_turn_comes(
    key: Dealt,
    identities: dict[str, Identity],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand of them would not be in memory together: each is let go before the next."""
    alive: list[weakref.ref[Deposit]] = []
    most = []
    read = Deposit.from_bytes

    class Kept(Deposit):
        __slots__ = ("__weakref__",)

    def watched(encoded: bytes) -> Deposit:
        plain = read(encoded)
        kept = Kept(**{name: getattr(plain, name) for name in Deposit.__slots__})
        gc.collect()
        most.append(sum(one() is not None for one in alive) + 1)
        alive.append(weakref.ref(kept))
        return kept

    monkeypatch.setattr(Deposit, "from_bytes", watched)
    files = given(key, tmp_path, [key.answers(identities["de-a"]) for _ in range(8)])

    together(files, lambda c: c.answers())

    assert len(most) == 2 * 24  # each is read for its ticket, and to be converted
    assert max(most) <= 2 * 3  # three registries in this process: one read, one let go


def test_what_a_worker_is_told_comes_back_as_it_was(
    key: Dealt, identities: dict[str, Identity], tmp_path: Path
) -> None:
    (one, *_) = given(key, tmp_path, [key.table(identities["fr-a"])], tables=(0,))
    again = Deposited.from_json(json.loads(json.dumps(one.to_json())), one.sigma)
    assert again == one
    assert one.sealing.hex() not in repr(one)
    assert repr(one.sealing) not in repr(one)
    assert len(repr(one)) < 2000  # sigma neither
