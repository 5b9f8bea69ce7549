"""Deposits brought and fetched when the platform is lost, stalls, or says what cannot be."""

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from hostile_platform import Answer, serving

from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc.errors import LinkError, ProtocolError, RefusedError
from upcare_mpc.link import deposits as module
from upcare_mpc.link.calls import platform_channel
from upcare_mpc.link.deposits import PIECE_BYTES, Depositor, Holder

DIGEST = b"c" * 32


def platform(lab: Any) -> Any:
    return lab.admit("platform", role="platform")


def depositor(lab: Any, address: str) -> Depositor:
    return Depositor(platform_channel(address, lab.network))


def fetched(lab: Any, address: str, *, count: int = 2, first: int = 0) -> list[bytes]:
    with Holder(address, lab.identity("de-a")) as holder:
        return list(holder.fetch(DIGEST, count=count, at_most=6, first=first))


def parts(*said: tuple[int, bytes, bool]) -> Answer:
    """Hand out these pieces: place, bytes, whether it is the last of its deposit."""

    def fetch(request: Any, _context: Any) -> Iterator[Any]:
        assert request.collection == DIGEST
        for place, piece, last in said:
            yield deposit_pb2.FetchResponse(place=place, piece=piece, last=last)

    return fetch


def test_a_deposit_goes_in_pieces_of_a_mebibyte(lab: Any) -> None:
    got: list[tuple[bytes, int]] = []

    def deposit(requests: Iterator[Any], _context: Any) -> Any:
        got.extend((request.collection, len(request.piece)) for request in requests)
        return deposit_pb2.DepositResponse(receipt=b"receipt")

    with serving(platform(lab), Deposit=deposit) as address, depositor(lab, address) as calls:
        assert calls.deposit(DIGEST, bytes(2 * PIECE_BYTES + 1)) == b"receipt"

    assert got == [(DIGEST, PIECE_BYTES), (b"", PIECE_BYTES), (b"", 1)]


def test_a_refusal_ends_an_upload_in_words(lab: Any) -> None:
    def deposit(requests: Iterator[Any], context: Any) -> Any:
        next(requests)
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too\nlarge")

    with (
        serving(platform(lab), Deposit=deposit) as address,
        depositor(lab, address) as calls,
        pytest.raises(RefusedError, match=r"^too large$"),
    ):
        calls.deposit(DIGEST, bytes(5 * PIECE_BYTES))


def test_what_the_platform_says_is_handed_on(lab: Any) -> None:
    listed = deposit_pb2.OpenResponse(collections=[deposit_pb2.Listed(collection=b"c", study=b"s")])
    described = deposit_pb2.Description(collection=b"c", open=True)
    asked: list[bytes] = []

    def describe(request: Any, _context: Any) -> Any:
        asked.append(request.collection)
        return described

    with (
        serving(platform(lab), Open=lambda *_: listed, Describe=describe) as address,
        depositor(lab, address) as calls,
    ):
        assert calls.open() == (deposit_pb2.Listed(collection=b"c", study=b"s"),)
        assert calls.describe(DIGEST) == described
    assert asked == [DIGEST]


def test_nobody_waits_for_ever(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALL_S", 0.3)
    monkeypatch.setattr(module, "UPLOAD_S", 0.3)
    wait = threading.Event()

    def silent(*_: Any) -> Any:
        wait.wait(10)

    def slow(_request: Any, _context: Any) -> Iterator[Any]:
        yield deposit_pb2.FetchResponse(place=0, piece=b"x", last=False)
        wait.wait(10)

    with (
        serving(platform(lab), Open=silent, Describe=silent, Deposit=silent, Fetch=slow) as address,
        depositor(lab, address) as calls,
    ):
        for call in (
            calls.open,
            lambda: calls.describe(DIGEST),
            lambda: calls.deposit(DIGEST, b"x"),
            lambda: fetched(lab, address),
        ):
            with pytest.raises(LinkError):
                call()
        wait.set()


def test_deposits_are_put_together_from_their_pieces(lab: Any) -> None:
    said = parts((0, b"ab", False), (0, b"cd", True), (1, b"efghij", True))
    with serving(platform(lab), Fetch=said) as address:
        assert fetched(lab, address) == [b"abcd", b"efghij"]


def test_a_later_first_one_is_asked_for(lab: Any) -> None:
    def fetch(request: Any, _context: Any) -> Iterator[Any]:
        yield deposit_pb2.FetchResponse(place=request.first, piece=b"x", last=True)

    with serving(platform(lab), Fetch=fetch) as address:
        assert fetched(lab, address, first=1) == [b"x"]


def test_of_no_deposits_nothing_is_asked(lab: Any) -> None:
    with serving(platform(lab)) as address:
        assert fetched(lab, address, count=0) == []


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([(0, b"ab", True)], "does not hand out the deposits"),
        ([(0, b"ab", True), (1, b"cd", False)], "does not hand out the deposits"),
        ([(1, b"ab", True), (0, b"cd", True)], "does not hand out the deposits"),
        ([(0, b"ab", False), (1, b"cd", True)], "does not hand out the deposits"),
        ([(0, b"", False), (0, b"ab", True), (1, b"cd", True)], "does not hand out the deposits"),
        ([(0, b"abcdefg", True)], "more bytes than a deposit has"),
        ([(0, b"abcd", False), (0, b"efg", False)], "more bytes than a deposit has"),
        (
            [(0, b"a", True), (1, b"b", True), (2, b"c", True)],
            "more deposits than it has announced",
        ),
    ],
)
def test_nothing_else_than_the_deposits_announced_is_taken(
    lab: Any, said: list[tuple[int, bytes, bool]], why: str
) -> None:
    with (
        serving(platform(lab), Fetch=parts(*said)) as address,
        pytest.raises(ProtocolError, match=why),
    ):
        fetched(lab, address)


def test_a_holder_that_stops_early_ends_the_call(lab: Any) -> None:
    ended, wait = threading.Event(), threading.Event()

    def fetch(_request: Any, context: Any) -> Iterator[Any]:
        context.add_callback(ended.set)
        yield deposit_pb2.FetchResponse(place=0, piece=b"x", last=True)
        wait.wait(10)

    with serving(platform(lab), Fetch=fetch) as address:
        with Holder(address, lab.identity("de-a")) as holder:
            fetching = holder.fetch(DIGEST, count=1000, at_most=6)
            assert next(fetching) == b"x"
            fetching.close()  # type: ignore[attr-defined]
            assert ended.wait(5)
        wait.set()
