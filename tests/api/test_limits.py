"""Buckets, open stories, remembered answers: bounded, and each for itself."""

import asyncio
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interface import Interface, authorized, bearing, problem, researcher, study, token

from upcare_mpc.api.limits import Answers, Buckets, Limits, Streams, Turns, address_of
from upcare_mpc.api.problems import ProblemError


def test_a_burst_and_then_the_rate() -> None:
    buckets = Buckets(rate=2, burst=3, most=10)
    for _ in range(3):
        buckets.take("a", 0.0)

    with pytest.raises(ProblemError) as refused:
        buckets.take("a", 0.0)
    buckets.take("b", 0.0)
    buckets.take("a", 0.5)

    assert refused.value.code == "limit"
    assert refused.value.headers == {"Retry-After": "1"}
    with pytest.raises(ProblemError):
        buckets.take("a", 0.5)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_nobody_gets_more_than_the_burst_and_the_rate(pauses: list[float]) -> None:
    buckets, now, taken = Buckets(rate=2, burst=5, most=10), 0.0, 0
    for pause in pauses:
        now += pause
        try:
            buckets.take("a", now)
        except ProblemError:
            continue
        taken += 1

    assert taken <= 5 + 2 * now + 1e-6


def test_only_so_many_names_are_kept() -> None:
    buckets = Buckets(rate=1, burst=1, most=3)
    for name in range(1000):
        buckets.take(name, 0.0)

    assert len(buckets._left) == 3


def test_an_address_of_ipv6_is_its_site() -> None:
    assert address_of("2001:db8::1") == address_of("2001:db8::2:1")
    assert address_of("2001:db8::1") != address_of("2001:db8:0:1::1")
    assert address_of("192.0.2.1") != address_of("192.0.2.2")
    assert address_of("testclient") == "testclient"


def test_open_stories_are_counted_by_key_and_in_all() -> None:
    streams = Streams(most=3, most_a_key=2)
    streams.enter(b"a")
    streams.enter(b"a")
    with pytest.raises(ProblemError, match="of one key"):
        streams.enter(b"a")
    streams.enter(b"b")
    with pytest.raises(ProblemError, match="of all keys"):
        streams.enter(b"c")
    streams.leave(b"a")
    streams.enter(b"c")


def test_so_many_work_at_once_and_others_wait() -> None:
    async def story() -> int:
        turns, working, most = Turns(most=2, seconds=30), 0, 0

        async def work() -> None:
            nonlocal working, most
            async with turns:
                working += 1
                most = max(most, working)
                await asyncio.sleep(0)
                working -= 1

        await asyncio.gather(*(work() for _ in range(10)))
        return most

    assert asyncio.run(story()) == 2


def test_a_turn_that_does_not_come_is_said() -> None:
    async def story() -> None:
        turns = Turns(most=1, seconds=0.01)
        async with turns:
            with pytest.raises(ProblemError, match="waiting"):
                async with turns:
                    pass
        async with turns:  # it is given back
            pass

    asyncio.run(story())


def test_answers_are_forgotten_in_time_and_number() -> None:
    answers = Answers(most=2, seconds=10)
    for name in ("x", "y", "z"):
        answers.keep(b"k", name, b"body", name, 0.0)

    assert answers.find(b"k", "x", b"other", 1.0) is None
    assert answers.find(b"k", "z", b"body", 1.0) == "z"
    assert answers.find(b"other key", "z", b"other", 1.0) is None
    assert answers.find(b"k", "z", b"other", 11.0) is None
    with pytest.raises(ProblemError):
        answers.find(b"k", "z", b"other", 1.0)


def test_the_same_idempotency_key_has_the_same_answer() -> None:
    interface = Interface()
    from upcare_mpc.client.signed_json import request_json

    sent = request_json(interface.me.request(study(), now=time.time()))
    headers = bearing(token(interface.me)) | {"Idempotency-Key": "first"}

    first, again = (interface.ask("POST", "/studies", json=sent, headers=headers) for _ in range(2))

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]
    assert interface.platform.calls.count("submit") == 1


def test_a_refused_submission_is_not_remembered() -> None:
    from upcare_mpc.client.signed_json import request_json
    from upcare_mpc.errors import LinkError

    interface = Interface()
    sent = request_json(interface.me.request(study(), now=time.time()))
    headers = bearing(token(interface.me)) | {"Idempotency-Key": "first"}
    interface.platform.fails = LinkError("the platform cannot be reached")
    problem(interface.ask("POST", "/studies", json=sent, headers=headers), "link")
    interface.platform.fails = None

    assert interface.ask("POST", "/studies", json=sent, headers=headers).status_code == 201


def test_the_rate_of_a_key_holds_wherever_she_is() -> None:
    interface = Interface(Limits(key_burst=2, key_rate=0.001))
    headers = bearing(token(interface.me))

    answers = [
        interface.ask("GET", "/catalogue", headers=headers, address=f"192.0.2.{n}")
        for n in range(3)
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) > 0
    other = bearing(token(researcher()))
    assert interface.ask("GET", "/catalogue", headers=other).status_code == 200


def test_the_rate_of_an_address_holds_whoever_asks() -> None:
    interface = Interface(Limits(address_burst=2, address_rate=0.001))

    answers = [
        interface.ask("GET", "/catalogue", headers=bearing(token(researcher()))) for _ in range(3)
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert interface.ask("GET", "/health", address="198.51.100.1").status_code == 200


def test_open_stories_of_a_key_are_few_and_are_given_back() -> None:
    interface = Interface(Limits(streams_a_key=2, stream_s=0.3, beat_s=0.1))
    interface.submit()
    interface.platform.silent_after = 1
    headers = bearing(token(interface.me)) | authorized(interface.me, "watch", study())
    path = f"/v1/studies/{study().digest.hex()}/events"

    async def three() -> list[httpx.Response]:
        async with interface.client() as client:
            return await asyncio.gather(*(client.get(path, headers=headers) for _ in range(3)))

    answers = interface.run(three())

    assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
    assert interface.platform.watching == 0
    assert interface.ask("GET", path.removeprefix("/v1"), headers=headers).status_code == 200
