"""`upcare study`: a study that collects deposits, and its closing."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from upcare_mpc.cli import study as module
from upcare_mpc.cli.network import found_network
from upcare_mpc.client.platform import Event
from upcare_mpc.client.researcher import new_researcher
from upcare_mpc.study.spec import Study

STUDY = """version = 1
title = "Sex"
kind = "counts"
purpose = "DUO:0000007"
registries = ["de-a", "de-b", "de-c"]
overlap = 2
[deposits]
registries = ["fr-a", "fr-b"]
patients = true
[cohort]
where = "true"
[privacy]
epsilon = 1
[counts]
by = ["sex"]
"""


@dataclass
class FakePlatform:
    """Tells the stories it is given, one each time somebody listens."""

    stories: list[tuple[str, str]] = field(default_factory=list)
    closed: list[tuple[str, ...]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def submit(self, study: Study) -> bool:
        return False

    def close(self, study: Study, without: tuple[str, ...]) -> int:
        self.closed.append(tuple(without))
        return 12

    def watch(self, study: bytes) -> Iterator[Event]:
        phase, text = self.stories.pop(0)
        yield Event(phase=phase, text=text, time=1.0, last=True)


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    fake = FakePlatform()
    monkeypatch.setattr(module, "PlatformClient", lambda _: fake)
    return fake


@pytest.fixture
def asks(tmp_path: Path) -> tuple[str, ...]:
    """A study file and a researcher's folder, as arguments."""
    found_network(tmp_path / "net", name="test", overlap=1, committee=3)
    new_researcher(tmp_path / "me", identity_folder=tmp_path / "net", platform="localhost:1")
    (tmp_path / "study.toml").write_text(STUDY)
    return (str(tmp_path / "study.toml"), "--as", str(tmp_path / "me"))


def test_a_study_that_collects_says_who_can_deposit_and_how_it_goes_on(
    upcare: Callable[..., Any], platform: FakePlatform, asks: tuple[str, ...]
) -> None:
    platform.stories = [("collecting", "collecting until tomorrow: collection 3f2a9c01d4e5")]

    ran = upcare("study", "submit", *asks, "--wait")

    assert ran.status == 0
    assert ran.err.splitlines()[1:] == [
        "now fr-a and fr-b can deposit: upcare deposit table COLLECTION --party FOLDER",
        "now patients can answer: on their registry's page, or by upcare deposit",
        "then: upcare study close study.toml --as FOLDER --wait",
    ]


def test_it_is_closed_without_whom_is_lost(
    upcare: Callable[..., Any], platform: FakePlatform, asks: tuple[str, ...]
) -> None:
    platform.stories = [("done", "the result is ready")]

    ran = upcare("study", "close", *asks, "--without", "de-b", "--wait", "--json")

    assert json.loads(ran.out)["deposits"] == 12
    assert platform.closed == [("de-b",)]


def test_a_closing_that_fails_is_an_error_though_it_still_collects(
    upcare: Callable[..., Any], platform: FakePlatform, asks: tuple[str, ...]
) -> None:
    platform.stories = [("collecting", "de-b is lost; close it again, or without it")]

    ran = upcare("study", "close", *asks, "--wait")

    assert (ran.status, ran.out) == (1, "")
    assert ran.err.splitlines()[-1] == (
        "upcare: error: de-b is lost; close it again, or without it [session]"
    )
