"""Statuses and error lines: 0 done, 1 refused or failed with one line, 2 wrong usage."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from upcare_mpc.cli.main import upcare as root
from upcare_mpc.errors import BudgetExceeded, LinkError, StudyError

Upcare = Callable[..., Any]

STUDY = """version = 1
title = "Grades"
kind = "counts"
purpose = "DUO:0000007"
registries = ["de-a", "de-b", "de-c"]
overlap = 1
[cohort]
where = "site = 'C50'"
[privacy]
epsilon = 1
[counts]
by = ["grade"]
"""


def failed(ran: Any) -> str:
    """The one line of a command that failed, without its beginning."""
    assert ran.status == 1
    assert ran.out == ""
    (line,) = ran.err.splitlines()
    assert line.startswith("upcare: error: ")
    return str(line.removeprefix("upcare: error: "))


def test_the_version_is_printed(upcare: Upcare) -> None:
    ran = upcare("--version")

    assert ran.status == 0
    assert ran.out.startswith("upcare, version ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("study", "submit"),
        ("study", "submit", "x.toml"),
        ("local", "--study", "x.toml"),
        ("ledger", "show", "--party", "/nowhere/at/all"),
        ("network", "init", "net", "--overlap", "0"),
        ("network", "init", "net", "--committee", "4"),
        ("node", "refuse", "abcdef", "--party", "."),
    ],
)
def test_wrong_usage_is_status_2_and_says_how_to_get_help(
    upcare: Upcare, arguments: tuple[str, ...]
) -> None:
    ran = upcare(*arguments)

    assert ran.status == 2
    assert "Error: " in ran.err
    assert "--help" in ran.err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("site =", "sight =", "study.toml: cohort.where: column 1: unknown variable 'sight'; "),
        ("'C50'", "'C5O'", "study.toml: cohort.where: column 8: wanted a code like C50 for site"),
        ("'C50'", "'C50", "study.toml: cohort.where: column 8"),
        ("epsilon = 1", "epsilon = 0", "study.toml: privacy.epsilon: wanted more than 0"),
        ("epsilon = 1", "epsilon = nan", "study.toml: "),
        ("epsilon = 1", "epsilon = 1e400", "study.toml: "),
        ('by = ["grade"]', 'by = ["grad"]', "study.toml: counts.by[0].variable: unknown variable"),
        ('kind = "counts"', 'kind = "survival"', "study.toml: "),
        ("[counts]", "[cuonts]", "study.toml: kind: wanted a statistic with its table"),
        ('"de-c"', '"DE-C"', "study.toml: registries: wanted a name like de-a"),
        ("DUO:0000007", "research", "study.toml: purpose: wanted a code like DUO:0000007"),
        ("version = 1", "version = 2", "study.toml: version: wanted 1"),
        ("overlap = 1", "overlap = 0", "study.toml: overlap: wanted a whole number from 1"),
        ("title", "titel", "study.toml: "),
        ("version", "=", "study.toml: "),
    ],
)
def test_a_bad_study_is_one_line_that_points_at_the_place(
    upcare: Upcare, tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in STUDY
    (tmp_path / "study.toml").write_text(STUDY.replace(old, new, 1))

    line = failed(upcare("study", "submit", str(tmp_path / "study.toml"), "--as", str(tmp_path)))

    assert line.startswith(words)
    assert line.endswith("[input.study]")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\x00" * 100, b"[" * 100_000, b"{", b"{}"])
def test_a_file_that_is_no_study_is_one_line(
    upcare: Upcare, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "study.toml").write_bytes(content)

    failed(upcare("study", "submit", str(tmp_path / "study.toml"), "--as", str(tmp_path)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("study", "submit", "{}/none.toml", "--as", "{}"), "none.toml: no such study file"),
        (("study", "submit", "{}", "--as", "{}"), "no such study file"),
        (("study", "submit", "{}/study.toml", "--as", "{}"), "researcher.key is missing"),
        (("catalogue", "--as", "{}"), "researcher.key is missing"),
        (("node", "serve", "--party", "{}"), "party.toml is missing in the folder"),
        (("node", "status", "--party", "{}"), "party.toml is missing in the folder"),
        (("ledger", "verify", "--party", "{}"), "party.toml is missing in the folder"),
        (("coordinator", "serve", "--folder", "{}"), "platform.toml is missing in the folder"),
        (("network", "admit", "{}", "de-a", "--out", "{}/x"), "this folder is no network"),
        (("network", "admit", "{}", "../x", "--out", "{}/x"), "a party has a name like de-a"),
        (
            ("researcher", "init", "{}/me", "--network", "{}", "--platform", "a:1"),
            "ca.pem of the network is missing",
        ),
        (("local", "--data", "de-a", "--study", "{}/study.toml"), "--data: wanted NAME=PATH"),
        (("local", "--data", "de-a={}/x.xml", "--study", "{}/study.toml"), "x.xml: no data file"),
        (("local", "--data", "../x={}", "--study", "{}/study.toml"), "a registry's name like de-a"),
        (("demo", "--parties", "{}/empty"), "study.toml: no such study file"),
    ],
)
def test_a_missing_or_wrong_file_is_one_line(
    upcare: Upcare, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "empty").mkdir()

    assert words in failed(upcare(*(word.format(tmp_path) for word in arguments)))


def test_a_registry_without_data_is_named(upcare: Upcare, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "x.csv").write_text("")
    study, data = str(tmp_path / "study.toml"), f"de-a={tmp_path / 'x.csv'}"

    line = failed(upcare("local", "--data", data, "--study", study))

    assert line.startswith("the study asks de-b; give its data: --data de-b=PATH")


def test_data_that_the_study_does_not_ask_for_are_refused(upcare: Upcare, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "x.csv").write_text("")
    names = ("de-a", "de-b", "de-c", "fr-a")
    data = [f"--data={name}={tmp_path / 'x.csv'}" for name in names]

    line = failed(upcare("local", *data, "--study", str(tmp_path / "study.toml")))

    assert line.startswith("--data fr-a: the study does not ask fr-a, but de-a, de-b, de-c")


def test_a_study_that_no_network_can_answer_starts_no_process(
    upcare: Upcare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", start)
    (tmp_path / "study.toml").write_text(STUDY.replace("epsilon = 1", "epsilon = 0.0000001"))
    (tmp_path / "x.csv").write_text("")
    data = [f"--data={name}={tmp_path / 'x.csv'}" for name in ("de-a", "de-b", "de-c")]

    line = failed(upcare("local", *data, "--study", str(tmp_path / "study.toml")))

    assert line.endswith("[input.study]")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (LinkError("de-a is lost"), "de-a is lost [link]"),
        (
            StudyError("column 3: wanted a name\n    x = \n    ^"),
            "column 3: wanted a name [input.study]",
        ),
        (
            BudgetExceeded("all studies", measure="rho", asked=1, left=0),  # type: ignore[arg-type]
            (
                "privacy budget exceeded: rho 1 asked, 0 left under the cap for all studies "
                "[privacy.budget_exceeded]"
            ),
        ),
        (PermissionError(13, "Permission denied"), "Permission denied [system]"),
        (KeyboardInterrupt(), "interrupted"),
        (click.Abort(), "interrupted"),
    ],
)
def test_every_error_is_one_line_with_its_code(
    upcare: Upcare, monkeypatch: pytest.MonkeyPatch, error: BaseException, line: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(root, "main", fail)

    assert failed(upcare()) == line


def test_on_a_terminal_the_place_in_the_study_is_shown(
    upcare: Upcare, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StudyError("column 3: wanted a name\n    x =\n      ^")

    monkeypatch.setattr(root, "main", fail)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    assert upcare().err.splitlines()[1:] == ["    x =", "      ^"]


def test_a_reader_that_goes_away_is_no_error_line(
    upcare: Upcare, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(root, "main", fail)
    monkeypatch.setattr(os, "dup2", lambda *_: None)

    ran = upcare()

    assert (ran.status, ran.err) == (1, "")
