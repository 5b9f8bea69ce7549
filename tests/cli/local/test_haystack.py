"""What a search finds, and that it finds it wherever it lies."""

import base64
import json
import os
import subprocess
import sys

import pytest

from upcare_mpc.cli.local.haystack import Find, Haystack, Secret, memory_of, search
from upcare_mpc.errors import InputError

SECRET = Secret(what="a key", content=bytes(range(40, 72)))


def found(content: bytes) -> set[str]:
    return {find.spelling for find in search([SECRET], Haystack(where="here", pieces=[content]))[0]}


@pytest.mark.parametrize("before", range(20))
def test_it_is_found_at_any_offset(before: int) -> None:
    padding = os.urandom(before)
    assert found(padding + SECRET.content + b"behind") == {"raw"}
    assert found(padding + SECRET.content) == {"raw"}


@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("behind", range(3))
def test_base64_is_found_whatever_stands_around(before: int, behind: int) -> None:
    encoded = base64.b64encode(os.urandom(before) + SECRET.content + os.urandom(behind))
    assert found(b"x" + encoded) == {"base64"}


def test_other_spellings_are_found() -> None:
    assert found(b"key=" + SECRET.content.hex().encode()) == {"hex"}
    assert found(SECRET.content.hex().upper().encode()) == {"HEX"}
    assert found(SECRET.content[::-1]) == {"reversed"}
    assert found(SECRET.content.decode("ascii").encode("utf-16-le")) == {"UTF-16"}


def test_a_record_in_a_line_of_a_log_is_found() -> None:
    record = Secret(what="a record", content=b'C50\tbreast\t\tfemale\t"54"')

    def spelt(line: str) -> set[str]:
        hay = Haystack(where="log", pieces=[line.encode()])
        return {find.spelling for find in search([record], hay)[0]}

    assert spelt(f"failed on {record.content!r}") == {"escaped"}
    assert spelt(json.dumps({"row": record.content.decode()})) == {"JSON"}
    assert spelt(record.content.decode().replace("\t", ",")) == {"commas"}


def test_almost_is_not_found() -> None:
    assert found(SECRET.content[:-1] + b"\0") == set()
    assert found(b"") == set()
    assert found(SECRET.content[:7]) == set()


def test_it_is_found_across_the_border_of_two_chunks() -> None:
    whole = bytearray(2**24 + 100)
    whole[2**24 - 10 : 2**24 + 22] = SECRET.content
    assert found(bytes(whole)) == {"raw"}


@pytest.mark.parametrize("size", range(8, 20))
def test_short_ones_are_found_too(size: int) -> None:
    secret = Secret(what="short", content=os.urandom(size))
    for how, text in secret.spellings():
        hay = Haystack(where="here", pieces=[os.urandom(5) + text + os.urandom(3)])
        assert Find(where="here", what="short", spelling=how) in search([secret], hay)[0]


def test_many_secrets_are_told_apart() -> None:
    secrets = [Secret(what=str(n), content=bytes([n]) * 8 + os.urandom(8)) for n in range(200)]
    hay = Haystack(
        where="db", pieces=[secrets[7].content, b"-" + secrets[150].content.hex().encode()]
    )
    assert search(secrets, hay)[0] == [
        Find(where="db", what="150", spelling="hex"),
        Find(where="db", what="7", spelling="raw"),
    ]


def test_the_memory_of_a_process_is_read() -> None:
    holds = "import sys; kept = bytes(range(40, 72)); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", holds]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        finds, size = search([SECRET], memory_of(process.pid, "memory"))
        process.communicate()
    assert Find(where="memory", what="a key", spelling="raw") in finds
    assert size > 2**20


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="at least 8 bytes"):
        Secret(what="short", content=bytes(7))
    with pytest.raises(InputError, match="cannot be read"):
        search([SECRET], memory_of(2**22 + 1, "nobody"))
