"""What the documents say is held against the program."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from upcare_mpc import errors
from upcare_mpc.cli.main import upcare
from upcare_mpc.kinds.question import work_out
from upcare_mpc.records import dictionary
from upcare_mpc.study.spec import parse

ROOT = Path(__file__).parent.parent
LANGUAGE = ROOT / "docs" / "study-language.md"
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / folder / "README.md" for folder in ("protos", "scripts")),
    ]
)
# An absolute path, but that of the example in scripts/README.md; or an issue, by its number.
ELSEWHERE = re.compile(
    r"(?<![\w.:/<>*\])}~|$-])/(?!srv\b)[a-z][\w.-]*|\bissue #?[0-9]|(?<![\w(])#[0-9]"
)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def every_document() -> str:
    return "\n".join(path.read_text("utf-8") for path in DOCUMENTS)


def commands(group: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not isinstance(group, click.Group):
        yield path
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from commands(command, (*path, name))


def error_classes(kind: type[errors.UpcareError]) -> Iterator[type[errors.UpcareError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from error_classes(child)


def headings(path: Path) -> set[str]:
    """Anchors of a document's headings, as a forge makes them."""
    found = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


def fenced_commands(path: Path) -> Iterator[str]:
    for block in re.findall(
        r"^```[a-z]*\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        joined = block.replace("\\\n", " ")
        yield from (line for line in joined.splitlines() if line.startswith("upcare "))


@pytest.mark.parametrize("kind", list(error_classes(errors.UpcareError)), ids=lambda k: k.code)
def test_every_error_code_is_in_the_wire_contract(kind: type[errors.UpcareError]) -> None:
    contract = (ROOT / "protos" / "README.md").read_text("utf-8")

    assert f"| `{kind.code}` | `{kind.__name__}` |" in contract


def test_every_error_of_the_wire_contract_exists() -> None:
    contract = (ROOT / "protos" / "README.md").read_text("utf-8")
    listed = re.findall(r"^\| `([a-z_.]+)` \| `[A-Z]", contract, re.MULTILINE)

    assert sorted(listed) == sorted(kind.code for kind in error_classes(errors.UpcareError))


@pytest.mark.parametrize("path", list(commands(upcare, ("upcare",))), ids=" ".join)
def test_every_command_is_in_the_documents(path: tuple[str, ...]) -> None:
    assert " ".join(path) in every_document()


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_commands_in_the_documents_exist_with_their_options(document: Path) -> None:
    for line in fenced_commands(document):
        words = line.split(" #")[0].split()[1:]
        command: click.Command = upcare
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(click.Context(command), words[0])
            assert found is not None, f"{line}: no command {words[0]}"
            command, words = found, words[1:]
        known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
        options = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert options <= known | {"--help", "-h"}, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_in_the_documents_lead_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith(("https://", "mailto:")):
            continue
        place, _, anchor = target.partition("#")
        linked = (document.parent / place).resolve() if place else document
        assert linked.exists(), target
        if anchor:
            assert anchor in headings(linked), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_files_named_in_the_documents_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    for name in re.findall(
        r"`((?:tests|upcare_mpc|parties|scripts|docs)/[\w./-]+)(?:::\w+)?`", text
    ):
        assert (ROOT / name).exists(), name


def test_tests_named_in_the_documents_exist() -> None:
    for name, test in re.findall(r"`(tests/[\w./-]+\.py)::(\w+)`", every_document()):
        assert f"def {test}(" in (ROOT / name).read_text("utf-8"), f"{name}::{test}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_documents_name_no_absolute_path_and_no_issue(document: Path) -> None:
    assert ELSEWHERE.findall(document.read_text("utf-8")) == []


@pytest.mark.parametrize("text", ["in /home/me/x", "`/data`", "(/opt/x)", "see issue 12", "see #7"])
def test_an_absolute_path_or_an_issue_would_be_seen(text: str) -> None:
    assert ELSEWHERE.findall(text)


def test_the_data_dictionary_is_up_to_date() -> None:
    assert (ROOT / "docs" / "data-dictionary.md").read_text("utf-8") == dictionary.page()


def test_the_grammar_in_the_documents_is_the_parsers() -> None:
    parser = (ROOT / "upcare_mpc" / "study" / "language.py").read_text("utf-8")
    grammar = parser[parser.index("    condition  :=") : parser.index("After a variable")]

    assert grammar.strip("\n") in LANGUAGE.read_text("utf-8")


def test_the_byte_examples_of_the_protocol_are_those_of_the_program() -> None:
    protocol = (ROOT / "docs" / "protocol.md").read_text("utf-8")
    study = parse((ROOT / "parties" / "study.toml").read_bytes(), name="study.toml")
    layout = work_out(study, network_overlap=1).layout

    for example in (study.canonical(), layout.canonical()):
        assert example.decode() in protocol
    for digest in (study.digest, layout.digest):
        assert digest.hex() in protocol
