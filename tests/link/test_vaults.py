"""Vaults as they are used, when the platform is lost, stalls, or answers what cannot be."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hostile_platform import Answer, serving

from upcare_mpc._proto.upcare.vault.v1 import vault_pb2
from upcare_mpc.errors import InputError, LinkError, ProtocolError
from upcare_mpc.link import vaults as module
from upcare_mpc.link.statements import check_access
from upcare_mpc.link.vaults import FetchedVault, KeptVault
from upcare_mpc.vault.edition import HEAD

NAME = "a" * 64
REQUEST = b"r" * 32
SIGNING = Ed25519PrivateKey.generate()


def kept(lab: Any, address: str) -> KeptVault:
    return KeptVault(address, lab.identity("de-a"))


def fetched(lab: Any, address: str) -> FetchedVault:
    return FetchedVault(address, lab.network, SIGNING, request=REQUEST, registry="de-a")


def platform(lab: Any) -> Any:
    return lab.admit("platform", role="platform")


def answers(*contents: bytes | None) -> Answer:
    """Answer each message of a fetch with the next of these; then end."""

    def fetch(requests: Iterator[Any], _context: Any) -> Iterator[Any]:
        for content in contents:
            next(requests)
            yield vault_pb2.FetchResponse(found=content is not None, content=content or b"")

    return fetch


# --- a registry's own -----------------------------------------------------------------------------


def test_an_object_that_is_longer_than_asked_for_is_not_taken(lab: Any) -> None:
    long = vault_pb2.GetResponse(found=True, content=b"12345")
    with serving(platform(lab), Get=lambda *_: long) as address, kept(lab, address) as vault:
        assert vault.get(NAME, at_most=5) == b"12345"
        assert vault.get(NAME, at_most=4) is None


@pytest.mark.parametrize("name", ["", "../head", "A" * 64, NAME + "\n"])
def test_names_that_are_none_are_refused(lab: Any, name: str) -> None:
    listed = [vault_pb2.NamesResponse(names=[NAME, name])]
    with (
        serving(platform(lab), Names=lambda *_: iter(listed)) as address,
        kept(lab, address) as vault,
        pytest.raises(InputError, match="64 hexadecimal digits"),
    ):
        vault.names()


def test_names_without_end_are_refused(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_NAMES", 5)
    listed = [vault_pb2.NamesResponse(names=[NAME] * 3)] * 2
    with (
        serving(platform(lab), Names=lambda *_: iter(listed)) as address,
        kept(lab, address) as vault,
        pytest.raises(ProtocolError, match="more objects than a vault can have"),
    ):
        vault.names()


def test_deletions_are_gathered_and_come_before_what_is_put_next(lab: Any) -> None:
    said: list[str] = []

    def delete(request: Any, _context: Any) -> Any:
        said.append(f"delete {len(request.names)}")
        return vault_pb2.DeleteResponse()

    def put(_request: Any, _context: Any) -> Any:
        said.append("put")
        return vault_pb2.PutResponse()

    def settle(_request: Any, _context: Any) -> Any:
        said.append("settle")
        return vault_pb2.SettleResponse()

    with (
        serving(platform(lab), Delete=delete, Put=put, Settle=settle) as address,
        kept(lab, address) as vault,
    ):
        for _ in range(module.MAX_DELETED + 2):
            vault.delete(NAME)
        assert said == [f"delete {module.MAX_DELETED}"]
        vault.put(NAME, b"")
        vault.delete(NAME)
        vault.settle()
        vault.settle()

    assert said[1:] == ["delete 2", "put", "delete 1", "settle", "settle"]


def test_a_platform_that_is_not_there_is_said_to_be_unreachable(lab: Any) -> None:
    with kept(lab, "127.0.0.1:9") as vault:
        for call in (vault.names, vault.settle, lambda: vault.put(NAME, b"")):
            with pytest.raises(LinkError, match="cannot be reached, or did not answer in time"):
                call()
    with pytest.raises(LinkError, match="cannot be reached, or did not answer in time"):
        fetched(lab, "127.0.0.1:9").__enter__()


# --- fetching -------------------------------------------------------------------------------------


def test_a_fetch_says_who_asks_for_what_and_shows_the_head(lab: Any) -> None:
    heard: list[Any] = []

    def fetch(requests: Iterator[Any], _context: Any) -> Iterator[Any]:
        for request in requests:
            heard.append(request)
            yield vault_pb2.FetchResponse(found=True, content=b"head" if len(heard) == 1 else b"it")

    with serving(platform(lab), Fetch=fetch) as address, fetched(lab, address) as vault:
        assert vault.head == b"head"
        assert vault.get(HEAD, at_most=4) == b"head"
        assert vault.get(NAME, at_most=2) == b"it"
        assert vault.get(NAME, at_most=1) is None

    begin, get = heard[0].begin, heard[1].get
    check_access(begin.authorization, "fetch de-a", now=time.time())
    assert begin.authorization.request_digest == REQUEST
    assert begin.registry == "de-a"
    assert (get.name, get.at_most) == (NAME, 2)


def test_a_platform_that_shows_no_head_is_refused(lab: Any) -> None:
    with (
        serving(platform(lab), Fetch=answers(None)) as address,
        pytest.raises(ProtocolError, match="shows no head of the vault of de-a"),
    ):
        fetched(lab, address).__enter__()


def test_a_platform_that_ends_early_is_noticed(lab: Any) -> None:
    early = "the platform ended before it had answered"
    with (
        serving(platform(lab), Fetch=answers()) as address,
        pytest.raises(ProtocolError, match=early),
    ):
        fetched(lab, address).__enter__()
    with (
        serving(platform(lab), Fetch=answers(b"head")) as address,
        fetched(lab, address) as vault,
        pytest.raises(ProtocolError, match=early),
    ):
        vault.get(NAME, at_most=5)


def test_a_platform_that_stops_in_the_middle_is_not_waited_for(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALL_S", 0.5)
    over = threading.Event()

    def fetch(requests: Iterator[Any], _context: Any) -> Iterator[Any]:
        next(requests)
        yield vault_pb2.FetchResponse(found=True, content=b"head")
        over.wait(20)

    with serving(platform(lab), Fetch=fetch) as address:
        with fetched(lab, address) as vault:
            started = time.monotonic()
            with pytest.raises(LinkError, match="did not answer in time"):
                vault.get(NAME, at_most=5)
            assert time.monotonic() - started < 10
        over.set()


def test_a_slow_reader_of_a_long_fetch_is_served(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALL_S", 0.5)
    with (
        serving(platform(lab), Fetch=answers(*[b"x"] * 5)) as address,
        fetched(lab, address) as vault,
    ):
        for _ in range(4):
            time.sleep(0.3)  # longer in all than any single answer may take
            assert vault.get(NAME, at_most=1) == b"x"


def test_a_fetch_that_is_left_ends_its_threads(lab: Any) -> None:
    with serving(platform(lab), Fetch=answers(b"head", b"x")) as address:
        before = threading.active_count()
        for _ in range(5):
            with fetched(lab, address) as vault:
                vault.get(NAME, at_most=1)
        deadline = time.monotonic() + 10
        while threading.active_count() > before + 4 and time.monotonic() < deadline:
            time.sleep(0.05)  # the server keeps up to four
        assert threading.active_count() <= before + 4
