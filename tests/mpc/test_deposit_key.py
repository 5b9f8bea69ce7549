"""The key for deposits: what the holders deal decrypts, and nobody has it alone."""

import datetime
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holders import additive_shares

from upcare_mpc.he import ring
from upcare_mpc.he.parameters import ERROR_BOUND, N, Q
from upcare_mpc.he.scheme import PublicKey, encrypt, lagrange
from upcare_mpc.link.certificates import new_authority
from upcare_mpc.mpc import field
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.programs.deposit import convert

Together = Callable[[int, int, Callable[[Engine], Awaitable[Any]]], list[Any]]
PROCESS = Path(__file__).with_name("holder_process.py")
SEED = bytes(range(32))

pytestmark = pytest.mark.parties


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("holders")
    now = datetime.datetime.now(datetime.UTC)
    authority = new_authority("test", now=now)
    for name in (f"holder-{number}" for number in range(7)):
        certificate, key = authority.admit(name, "registry", now=now)
        (folder / name).mkdir()
        (folder / name / "ca.pem").write_bytes(authority.certificate_pem)
        (folder / name / "party.pem").write_bytes(certificate)
        (folder / name / "party.key").write_bytes(key)
    return folder


def deal(network: Path, holders: int, threshold: int, story: str = "deal") -> list[dict[str, Any]]:
    """What every holder says; nothing of one that died."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(PROCESS), str(network), *map(str, (i, holders, threshold)), story],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(holders)
    ]
    try:
        ports = [int(process.stdout.readline()) for process in processes if process.stdout]
        line = json.dumps(ports) + "\n"
        with ThreadPoolExecutor(holders) as pool:
            ends = list(pool.map(lambda process: process.communicate(line, timeout=60), processes))
    finally:
        for process in processes:
            process.kill()
    sys.stderr.write("".join(stderr for _, stderr in ends))
    return [json.loads(stdout) if stdout.strip() else {} for stdout, _ in ends]


class Dealt:
    """A key as its holders have it."""

    def __init__(self, network: Path, holders: int, threshold: int) -> None:
        self.holders, self.threshold = holders, threshold
        self.answers = deal(network, holders, threshold)
        self.publics = [PublicKey.from_bytes(bytes.fromhex(a["public"])) for a in self.answers]
        self.sigmas = [[int(share, 16) for share in a["sigma"]] for a in self.answers]

    def secret(self, places: tuple[int, ...]) -> list[int]:
        """What some holders' shares interpolate to, centred."""
        weights = lagrange([place + 1 for place in places])
        columns = zip(*(self.sigmas[place] for place in places), strict=True)
        joined = (
            sum(w * x for w, x in zip(weights, column, strict=True)) % Q for column in columns
        )
        return [value - Q if value > Q // 2 else value for value in joined]


@pytest.fixture(scope="module", params=[(3, 1), (5, 1), (5, 2), (7, 1)], ids=str)
def dealt(network: Path, request: pytest.FixtureRequest) -> Dealt:
    return Dealt(network, *request.param)


def test_all_holders_have_one_public_key_on_the_seed(dealt: Dealt) -> None:
    assert len({public.digest for public in dealt.publics}) == 1
    assert dealt.publics[0].seed == SEED


def test_any_t_plus_1_shares_give_one_short_secret_and_t_give_none(dealt: Dealt) -> None:
    """A sum of ternary vectors: of variance 2/3 for each holder."""
    h, t = dealt.holders, dealt.threshold
    places = range(h)
    secret = dealt.secret(tuple(places))

    assert max(map(abs, secret)) <= h
    assert abs(np.var(secret) / (2 * h / 3) - 1) < 0.12  # false alarm below 1e-9
    for chosen in itertools.combinations(places, t + 1):
        assert dealt.secret(chosen) == secret
    for chosen in itertools.combinations(places, t):
        assert min(map(abs, dealt.secret(chosen))) > 1 << 120  # 8,192 of 2^176: 2^-41


def test_the_public_key_is_one_of_the_shared_secret(dealt: Dealt) -> None:
    """``b + a s`` is short: a sum of centred binomials, of variance 10.5 for each holder."""
    public, secret = dealt.publics[0], np.array(dealt.secret(tuple(range(dealt.holders))))
    factors = ring.of_elements(ring.of_integers(public.a)), ring.of_short(secret)
    sums = zip(public.b, ring.integers(ring.reduced(ring.product(factors))), strict=True)
    error = [(b + x + Q // 2) % Q - Q // 2 for b, x in sums]

    assert max(map(abs, error)) <= ERROR_BOUND * dealt.holders
    assert abs(np.var(error) / (10.5 * dealt.holders) - 1) < 0.12


def test_a_quorum_converts_in_a_new_session(dealt: Dealt, together: Together) -> None:
    """Every 2t + 1 of the holders, whatever was dealt among all."""
    t = dealt.threshold
    cells = [1, 0, -7, 10**12]
    ciphertext = encrypt(dealt.publics[0], np.array(cells), os.urandom).ciphertext
    for quorum in itertools.combinations(range(dealt.holders), 2 * t + 1):
        addends = additive_shares(ciphertext, dealt.sigmas, quorum)

        async def work(engine: Engine, addends: list[list[int]] = addends) -> Words:
            return await convert(engine, addends[engine.index])

        shares = together(2 * t + 1, t, work)
        opened = field.open_shares(dict(enumerate(shares)), threshold=t)
        assert field.decode(opened).tolist() == cells


def test_the_cost_is_as_stated(dealt: Dealt) -> None:
    h = dealt.holders

    assert [a["bytes"] for a in dealt.answers] == [22 * N * 3 * (h - 1)] * h


def test_no_share_is_shown(dealt: Dealt) -> None:
    for answer, sigma in zip(dealt.answers, dealt.sigmas, strict=True):
        assert str(sigma[0]) not in answer["shown"]
        assert str(dealt.publics[0].b[0]) not in answer["shown"]


def test_every_key_is_another(network: Path) -> None:
    first, second = (Dealt(network, 3, 1) for _ in range(2))

    assert first.publics[0].b != second.publics[0].b
    assert first.secret((0, 1, 2)) != second.secret((0, 1, 2))


@pytest.mark.parametrize("story", ["short", "cut", "not canonical", "empty"])
def test_a_holder_that_sends_something_else_is_refused(network: Path, story: str) -> None:
    answers = deal(network, 3, 1, story)

    for answer in answers[:2]:
        assert answer["error"] == "ProtocolError"


def test_a_lost_holder_ends_it(network: Path) -> None:
    answers = deal(network, 3, 1, "lost")

    assert answers[2] == {}
    for answer in answers[:2]:
        assert answer["error"] == "LinkError"
