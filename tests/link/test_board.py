"""The board in use, when the platform is lost, says no, or answers what cannot be."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hostile_platform import serving

from upcare_mpc._proto.upcare.board.v1 import board_pb2
from upcare_mpc.errors import InputError, LinkError, ProtocolError, RefusedError
from upcare_mpc.link import board as module
from upcare_mpc.link.board import MAX_PAPER_BYTES, Paper, RegistryBoard, ResearcherBoard

TOPIC = b"t" * 32
SIGNING = Ed25519PrivateKey.generate()


def of_registry(lab: Any, address: str) -> RegistryBoard:
    return RegistryBoard(address, lab.identity("de-a"))


def of_researcher(lab: Any, address: str) -> ResearcherBoard:
    return ResearcherBoard(address, lab.network, SIGNING)


def platform(lab: Any) -> Any:
    return lab.admit("platform", role="platform")


def paper(number: int, **changed: Any) -> board_pb2.Paper:
    fields = {"sender": "de-a", "kind": "seat", "content": b"said", "time": 1.5}
    return board_pb2.Paper(number=number, **{**fields, **changed})


def read(lab: Any, *papers: board_pb2.Paper, after: int = 0) -> list[Paper]:
    with (
        serving(platform(lab), Read=lambda *_: iter(papers)) as address,
        of_registry(lab, address) as board,
    ):
        return board.read(TOPIC, after=after)


def test_papers_are_read_as_they_are_shown(lab: Any) -> None:
    assert read(lab, paper(3), paper(7, sender="", content=b""), after=2) == [
        Paper(number=3, sender="de-a", kind="seat", content=b"said", time=1.5),
        Paper(number=7, sender="", kind="seat", content=b"", time=1.5),
    ]


@pytest.mark.parametrize(
    "papers",
    [
        [paper(0)],
        [paper(1), paper(1)],
        [paper(2), paper(1)],
        [paper(1, content=bytes(MAX_PAPER_BYTES + 1))],
        [paper(1, kind="k" * 65)],
        [paper(1, sender="s" * 65)],
    ],
    ids=["number", "twice", "backwards", "content", "kind", "sender"],
)
def test_papers_that_cannot_be_are_refused(lab: Any, papers: list[board_pb2.Paper]) -> None:
    with pytest.raises(ProtocolError, match="the platform shows a paper that cannot be"):
        read(lab, *papers)


def test_what_is_known_is_not_taken_again(lab: Any) -> None:
    with pytest.raises(ProtocolError, match="the platform shows a paper that cannot be"):
        read(lab, paper(2), after=2)


def endless(make: Callable[[int], Any], sent: list[int]) -> Callable[..., Iterator[Any]]:
    def answer(_request: Any, context: Any) -> Iterator[Any]:
        while context.is_active():
            sent.append(len(sent) + 1)
            yield make(sent[-1])

    return answer


def test_a_platform_that_never_ends_is_ended(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_PUBLIC_BYTES", 10_000)
    sent: list[int] = []
    papers = endless(paper, sent)
    public = endless(lambda n: board_pb2.CeremonyPaper(topic=TOPIC, paper=paper(n)), sent)
    with serving(platform(lab), Read=papers, Follow=papers, Ceremonies=public) as address:
        refused = pytest.raises(ProtocolError, match="more papers than a topic can have")
        with of_registry(lab, address) as board, refused:
            board.read(TOPIC)
        with of_researcher(lab, address) as hers:
            with pytest.raises(ProtocolError):
                hers.follow(TOPIC)
            with pytest.raises(ProtocolError, match="ceremonies that cannot be"):
                hers.ceremonies()


def test_topics_are_read_page_by_page(lab: Any) -> None:
    def topics(request: Any, _context: Any) -> Any:
        assert request.kind == board_pb2.TOPIC_KIND_REQUEST
        numbers = range(request.after + 1, min(request.after + 3, 6))
        shown = [board_pb2.Topic(number=n, topic=n.to_bytes(32)) for n in numbers]
        return board_pb2.TopicsResponse(topics=shown)

    with serving(platform(lab), Topics=topics) as address, of_registry(lab, address) as board:
        assert board.topics("request") == [(n, n.to_bytes(32)) for n in range(1, 6)]
        assert board.topics("request", after=4) == [(5, (5).to_bytes(32))]


@pytest.mark.parametrize("topic", [(0, TOPIC), (4, TOPIC), (5, b"short"), (5, TOPIC + b"1")])
def test_topics_that_cannot_be_are_refused(lab: Any, topic: tuple[int, bytes]) -> None:
    shown = board_pb2.TopicsResponse(topics=[board_pb2.Topic(number=topic[0], topic=topic[1])])
    with (
        serving(platform(lab), Topics=lambda *_: shown) as address,
        of_registry(lab, address) as board,
        pytest.raises(ProtocolError, match="lists topics that cannot be"),
    ):
        board.topics("ceremony", after=4)


def test_topics_without_end_are_refused(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_TOPICS", 5)

    def topics(request: Any, _context: Any) -> Any:
        return board_pb2.TopicsResponse(
            topics=[board_pb2.Topic(number=request.after + 1, topic=TOPIC)]
        )

    with (
        serving(platform(lab), Topics=topics) as address,
        of_registry(lab, address) as board,
        pytest.raises(ProtocolError, match="lists more topics than there can be"),
    ):
        board.topics("ceremony")


@pytest.mark.parametrize("topic", [b"", b"short", TOPIC + b"1"])
def test_a_ceremony_is_named_by_32_bytes(lab: Any, topic: bytes) -> None:
    shown = [board_pb2.CeremonyPaper(topic=topic, paper=paper(1))]
    with (
        serving(platform(lab), Ceremonies=lambda *_: iter(shown)) as address,
        of_researcher(lab, address) as board,
        pytest.raises(ProtocolError, match="ceremonies that cannot be"),
    ):
        board.ceremonies()


def test_a_refusal_is_shown_on_one_line_that_steers_no_terminal(lab: Any) -> None:
    def refuse(_request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no\nand \x1b[31mred" + "x" * 2000)

    with (
        serving(platform(lab), Post=refuse) as address,
        of_registry(lab, address) as board,
        pytest.raises(RefusedError) as caught,
    ):
        board.post(TOPIC, "seat", b"")

    text = str(caught.value)
    assert text.startswith("no and  [31mred")
    assert text.isprintable()
    assert len(text) == 1000


def test_a_paper_that_is_too_long_is_said_to_be_before_it_is_sent(lab: Any) -> None:
    with of_registry(lab, "127.0.0.1:9") as board, pytest.raises(InputError, match="65537"):
        board.post(TOPIC, "seat", bytes(MAX_PAPER_BYTES + 1))


def test_a_platform_that_is_not_there_is_said_to_be_unreachable(lab: Any) -> None:
    with of_registry(lab, "127.0.0.1:9") as board:
        for call in (lambda: board.read(TOPIC), lambda: board.post(TOPIC, "seat", b"")):
            with pytest.raises(LinkError, match="cannot be reached, or did not answer in time"):
                call()
    with of_researcher(lab, "127.0.0.1:9") as hers:
        for ask in (lambda: hers.follow(TOPIC), hers.ceremonies, lambda: hers.file(b"")):
            with pytest.raises(LinkError, match="cannot be reached, or did not answer in time"):
                ask()


def test_a_platform_that_says_nothing_is_not_waited_for(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALL_S", 0.5)
    over = threading.Event()

    def stall(*_: Any) -> Any:
        over.wait(20)
        return iter(())

    with (
        serving(platform(lab), Post=stall, Read=stall, Topics=stall, Ceremonies=stall) as address,
        of_registry(lab, address) as board,
        of_researcher(lab, address) as hers,
    ):
        started = time.monotonic()
        for call in (
            lambda: board.post(TOPIC, "seat", b""),
            lambda: board.read(TOPIC),
            lambda: board.topics("request"),
            hers.ceremonies,
        ):
            with pytest.raises(LinkError, match="did not answer in time"):
                call()
        assert time.monotonic() - started < 15
        over.set()


def test_a_registry_in_the_platforms_place_is_not_talked_to(lab: Any) -> None:
    with serving(lab.identity("fr-a"), Read=lambda *_: iter([paper(1)])) as address:
        with of_registry(lab, address) as board, pytest.raises(LinkError):
            board.read(TOPIC)
        with of_researcher(lab, address) as hers, pytest.raises(LinkError):
            hers.ceremonies()
