"""A researcher's client over REST: the same answers, the same errors, and every wait ends."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from interface import DONE, SINCE, Interface, answered_by, researcher, study
from registries import Registries, registries
from test_result import NOISY, Answer

from upcare_mpc.api.limits import Limits
from upcare_mpc.client import rest as module
from upcare_mpc.client.rest import RestPlatform
from upcare_mpc.errors import (
    ConfigError,
    LinkError,
    OpeningError,
    ProtocolError,
    RefusedError,
    UpcareError,
)
from upcare_mpc.link.statements import question_digest

LISTED = {
    "study_digest": "00" * 32,
    "title": "t",
    "state": "done",
    "reason": "",
    "submitted": SINCE.isoformat(),
    "changed": SINCE.isoformat(),
    "collection": "63" * 32,
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    made = registries(tmp_path_factory.mktemp("registries"))
    yield made
    made.close()


def test_it_asks_and_follows_as_over_grpc(interface: Interface) -> None:
    with interface.rest() as rest:
        answers = rest.preview(study())
        assert (rest.submit(study()), rest.submit(study())) == (False, True)
        story = list(rest.watch(study().digest))

    assert [answer.registry for answer in answers] == ["de-a", "de-b", "fr-a"]
    assert str(answers[0].epsilon_left) == "7/3"
    assert answers[0].rho_left is None
    assert tuple(event.phase for event in story) == DONE
    assert [event.last for event in story] == [False] * (len(DONE) - 1) + [True]


def test_it_closes_as_over_grpc(interface: Interface) -> None:
    interface.platform.deposits = 3
    with interface.rest() as rest:
        rest.submit(study())
        assert rest.close(study(), ["de-b"]) == 3
        interface.platform.deposits = None
        with pytest.raises(RefusedError, match="not collecting"):
            rest.close(study())

    assert interface.platform.without == ("de-b",)


def test_the_catalogue_is_read_page_by_page(
    interface: Interface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 2)
    with interface.rest() as rest:
        entries = rest.catalogue()

    assert interface.platform.calls == ["catalogue", "catalogue"]
    assert [entry.registry for entry in entries] == ["de-a", "de-b", "fr-a"]
    assert entries[0].since == SINCE
    assert entries[0].availability is not None
    assert entries[0].availability.years == (1999, 2023)
    assert entries[1].availability is None


def test_her_studies_are_listed_page_by_page(
    interface: Interface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 2)
    asked = [study(f"Study {n}") for n in range(5)]
    with interface.rest() as rest:
        for one in asked:
            rest.submit(one)
        listed = rest.studies()

    assert interface.platform.calls.count("studies") == 3
    assert [one.digest for one in listed] == [one.digest for one in reversed(asked)]
    assert {(one.state, one.reason, one.changed) for one in listed} == {("done", "", SINCE)}


def test_a_sealed_result_is_opened_by_whom_it_is_for(network: Registries) -> None:
    sealed, me = Answer(network), network.researcher
    interface = Interface(me=me)
    interface.platform.parts = sealed.parts
    key = question_digest(sealed.study.digest, me.signing_key)
    interface.platform.asked[key] = me.request(sealed.study, now=time.time())

    with interface.rest() as rest:
        opened = rest.result(sealed.study)

    assert (opened.noisy == NOISY).all()
    assert [charged.spent is not None for charged in opened.registries] == [True] * 4


@pytest.mark.parametrize("place", ["descriptor", "sealed", "signature", "agreement", "spent"])
def test_an_interface_that_alters_a_byte_is_noticed(network: Registries, place: str) -> None:
    sealed, me = Answer(network), network.researcher
    interface = Interface(me=me)
    interface.platform.parts = sealed.parts
    key = question_digest(sealed.study.digest, me.signing_key)
    interface.platform.asked[key] = me.request(sealed.study, now=time.time())
    honest = interface.rest()._client

    def lie(request: httpx.Request) -> httpx.Response:
        told = honest.send(request).json()
        holder, name = {
            "descriptor": (told, "descriptor"),
            "sealed": (told["outputs"][1], "sealed"),
            "signature": (told["outputs"][1], "signature"),
            "agreement": (told["outputs"][1], "agreement"),
            "spent": (told["spent"][1], "signature"),
        }[place]
        text = holder[name]
        holder[name] = text[:30] + ("1" if text[30] != "1" else "2") + text[31:]
        return httpx.Response(200, json=told)

    with answered_by(lie, me) as rest, pytest.raises((ProtocolError, OpeningError)):
        rest.result(sealed.study)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, RefusedError), (401, RefusedError), (403, RefusedError), (404, RefusedError),
     (409, RefusedError), (422, RefusedError), (429, LinkError), (500, LinkError),
     (503, LinkError)],
)  # fmt: skip
def test_a_problem_is_the_error_that_it_stands_for(status: int, kind: type[UpcareError]) -> None:
    said = {"title": "No", "detail": "because\x1b[2J of this\nand that", "status": status}

    with (
        answered_by(lambda _: httpx.Response(status, json=said), researcher()) as rest,
        pytest.raises(kind) as refused,
    ):
        rest.submit(study())

    assert str(refused.value) == "because [2J of this and that"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"{}"])
@pytest.mark.parametrize("call", ["preview", "catalogue", "studies", "submit", "result"])
def test_an_answer_of_another_form_is_said(content: bytes, call: str) -> None:
    with (
        answered_by(lambda _: httpx.Response(200, content=content), researcher()) as rest,
        pytest.raises(ProtocolError, match=r"cannot be understood|envelope"),
    ):
        getattr(rest, call)(*(() if call in {"catalogue", "studies"} else (study(),)))


@pytest.mark.parametrize("known", ["no", 0, 1, None, [], {"a": 1}], ids=str)
def test_known_is_true_or_false(known: object) -> None:
    answer = httpx.Response(200, json={"study_digest": "00" * 32, "known": known})

    with (
        answered_by(lambda _: answer, researcher()) as rest,
        pytest.raises(ProtocolError, match=r"answer: known: wanted true or false, got \S"),
    ):
        rest.submit(study())


@pytest.mark.parametrize("deposits", ["3", 3.5, True, -1, None], ids=str)
def test_deposits_are_a_whole_number(deposits: object) -> None:
    answer = httpx.Response(200, json=LISTED | {"deposits": deposits})

    with (
        answered_by(lambda _: answer, researcher()) as rest,
        pytest.raises(ProtocolError, match=r"deposits: wanted a whole number from 0 on, got \S"),
    ):
        rest.close(study())


def test_a_redirect_is_not_followed() -> None:
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(307, headers={"Location": "https://elsewhere.test/"})

    with answered_by(handle, researcher()) as rest, pytest.raises(ProtocolError):
        rest.submit(study())

    assert len(asked) == 1


def test_a_catalogue_without_end_ends() -> None:
    entry = {"registry": "de-a", "attending": True, "since": SINCE.isoformat(), "stated": None}
    page = {"items": [entry] * 100, "next": "AA"}

    with (
        answered_by(lambda _: httpx.Response(200, json=page), researcher()) as rest,
        pytest.raises(ProtocolError, match="at most"),
    ):
        rest.catalogue()


def test_a_list_of_studies_without_end_ends() -> None:
    page = {"items": [LISTED] * 100, "next": "AA"}

    with (
        answered_by(lambda _: httpx.Response(200, json=page), researcher()) as rest,
        pytest.raises(ProtocolError, match="at most"),
    ):
        rest.studies()


def test_an_answer_without_end_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ANSWER", 1 << 20)

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 4096

    with (
        answered_by(lambda _: httpx.Response(200, content=endless()), researcher()) as rest,
        pytest.raises(ProtocolError, match="at most"),
    ):
        rest.submit(study())
    with (
        answered_by(lambda _: httpx.Response(200, content=endless()), researcher()) as rest,
        pytest.raises(ProtocolError, match="at most"),
    ):
        list(rest.watch(study().digest))


def _told(*lines: str) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(200, text="".join(f"{line}\n" for line in lines))


def test_a_story_that_breaks_off_is_taken_up_where_it_was_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    interface = Interface(Limits(stream_s=0.2, beat_s=0.1))
    interface.submit()
    interface.platform.silent_after = 2
    heard: list[Any] = []

    with interface.rest() as rest:
        for event in rest.watch(study().digest):
            heard.append(event)
            if len(heard) == 2:
                interface.platform.silent_after = None

    assert tuple(event.phase for event in heard) == DONE
    assert interface.platform.calls.count("watch") == 2


def test_a_story_of_nothing_is_a_lost_connection() -> None:
    with (
        answered_by(_told(), researcher()) as rest,
        pytest.raises(LinkError, match="ended the story"),
    ):
        list(rest.watch(study().digest))


def test_a_problem_within_a_story_is_its_error() -> None:
    problem = json.dumps({"status": 503, "detail": "the platform is lost"})

    with (
        answered_by(_told("event: problem", f"data: {problem}", ""), researcher()) as rest,
        pytest.raises(LinkError, match="the platform is lost"),
    ):
        list(rest.watch(study().digest))


def test_a_story_of_rubbish_is_said() -> None:
    with (
        answered_by(_told("data: {}"), researcher()) as rest,
        pytest.raises(ProtocolError, match="cannot be understood"),
    ):
        list(rest.watch(study().digest))


@pytest.mark.parametrize(
    "error",
    [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.ReadError("x"), OSError("x")],
)
def test_a_lost_connection_is_a_lost_connection(error: Exception) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    with answered_by(fail, researcher()) as rest:
        with pytest.raises(LinkError, match="cannot be reached"):
            rest.submit(study())
        with pytest.raises(LinkError, match="cannot be reached"):
            list(rest.watch(study().digest))


def test_nobody_listens_there() -> None:
    with RestPlatform("https://127.0.0.1:9", researcher()) as rest, pytest.raises(LinkError):
        rest.catalogue()


@pytest.mark.parametrize(
    "url", ["", "localhost:7445", "http://example.org", "ftp://localhost", "https://", "http://[::"]
)
def test_an_address_that_is_none_is_said(url: str) -> None:
    with pytest.raises(ConfigError, match="wanted the address of a public interface"):
        RestPlatform(url, researcher())


def test_a_file_of_certificates_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no")

    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(ConfigError, match="wanted a file of certificates"):
            RestPlatform("https://localhost", researcher(), ca=tmp_path / name)


def test_an_answer_that_is_packed_is_refused_before_it_is_unpacked() -> None:
    """34 hundred bytes of gzip within gzip stand for gigabytes."""
    packed = gzip.compress(gzip.compress(b'{"a": "' + b"0" * 10_000_000 + b'"}'))
    headers = {"content-encoding": "gzip, gzip"}
    response = httpx.Response(200, headers=headers, stream=httpx.ByteStream(packed))

    with pytest.raises(ProtocolError, match="not packed"):
        module._answer(response)
    assert response.num_bytes_downloaded == 0
