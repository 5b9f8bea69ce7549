"""The way to the platform, at a real one: what is signed goes through, what it says comes back."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from interface import AGREEMENT, OTHER_NETWORK, study
from served_platform import ServedPlatform

from upcare_mpc.client.gateway import Gateway
from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.errors import LinkError, ProtocolError, RefusedError, StudyError


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPlatform]:
    with ServedPlatform(tmp_path_factory.mktemp("platform")) as served:
        yield served


@pytest.fixture
def me(platform: ServedPlatform) -> Researcher:
    return Researcher(
        signing=Ed25519PrivateKey.generate(),
        sealing=X25519PrivateKey.generate(),
        network=platform.network,
        agreement=AGREEMENT,
        platform=platform.researchers,
    )


def through(platform: ServedPlatform, call: Callable[[Gateway], Awaitable[Any]], **by: Any) -> Any:
    """Make one call."""

    async def once() -> Any:
        gateway = Gateway(
            by.get("address", platform.researchers), by.get("network", platform.network)
        )
        try:
            return await call(gateway)
        finally:
            await gateway.close()

    return asyncio.run(once())


async def _story(gateway: Gateway, authorization: Any) -> list[Any]:
    return [event async for event in gateway.watch(authorization)]


def test_a_signed_question_is_answered(platform: ServedPlatform, me: Researcher) -> None:
    answers = through(
        platform, lambda g: g.preview(me.request(study(), "preview", now=time.time()))
    )

    assert [(answer.registry, answer.verdict) for answer in answers] == [
        (name, "not connected") for name in ("de-a", "de-b", "fr-a")
    ]


def test_nothing_was_asked_and_nobody_attends(platform: ServedPlatform, me: Researcher) -> None:
    mine = me.authorize(b"", "list", now=time.time())

    assert through(platform, lambda g: g.studies(mine, limit=100)) == ([], False)
    assert through(platform, lambda g: g.study(mine, study().digest)) is None
    with PlatformClient(me) as client:
        assert client.studies() == []
    assert through(platform, lambda g: g.catalogue()) == []


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda g, me: g.submit(me.request(study(), now=time.time())), RefusedError, "not"),
        (lambda g, me: g.submit(me.request(study(), now=0)), ProtocolError, "no longer valid"),
        (
            lambda g, me: g.studies(me.authorize(b"", "watch", now=time.time()), limit=1),
            ProtocolError,
            "the authorization is for watch",
        ),
        (
            lambda g, me: g.studies(
                me.authorize(b"", "list", now=time.time()), after=b"x", limit=1
            ),
            StudyError,
            "is not known here",
        ),
        (
            lambda g, me: g.studies(me.authorize(b"", "list", now=time.time()), limit=101),
            StudyError,
            "limit: wanted 1 to 100, got 101",
        ),
        (
            lambda g, me: g.result(me.authorize(study().digest, "result", now=time.time())),
            StudyError,
            "has not submitted",
        ),
        (
            lambda g, me: _story(g, me.authorize(study().digest, "watch", now=time.time())),
            StudyError,
            "has not submitted",
        ),
    ],
)
def test_what_the_platform_says_is_the_error_that_it_means(
    platform: ServedPlatform, me: Researcher, call: Any, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        through(platform, lambda g: call(g, me))


def test_a_platform_of_another_network_is_none(platform: ServedPlatform) -> None:
    with pytest.raises(LinkError):
        through(platform, lambda g: g.catalogue(within_s=5), network=OTHER_NETWORK)


def test_nobody_is_there(platform: ServedPlatform, tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="cannot be reached"):
        through(platform, lambda g: g.catalogue(within_s=5), address="127.0.0.1:9")
