"""What the platform stored, logged and received, searched for everything it must not know.

The platform carries the answer and must not be able to read it. This test runs a study with a
platform that writes down every message that comes out of its TLS connections, adds its database
and its log, and searches all of it in two ways:

* for what is known to the test: output shares (opened with the researcher's key), the exact
  counts of each registry and of all together, and the noisy answer, in many spellings;
* for what is not known to it, such as input shares, which exist in workers alone: a table of field
  elements shows by its form, many numbers below 2^61 - 1 in a row, in bytes, hexadecimal, base64
  or decimal text.

Each search is then shown a share that was planted, and must find it.
"""

import base64
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fragile_network import POLICY, FragileNetwork, cases_of, data_of

from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.kinds.question import work_out
from upcare_mpc.mpc import field
from upcare_mpc.mpc.opening import unseal_share
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import COORDINATOR
from upcare_mpc.storage.studies import Studies
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import parse

pytestmark = pytest.mark.parties

NAMES = ("de-a", "de-b", "de-c", "fr-a")
RUN = 48  # so many field elements in a row are no accident: (1/8)^48
STUDY = parse(
    """
version = 1
title = "Ages"
kind = "counts"
purpose = "DUO:0000007"
registries = ["de-a", "de-b", "de-c", "fr-a"]
overlap = 1
[cohort]
where = "site = 'C50'"
[privacy]
epsilon = 2
[counts]
by = [{ variable = "age", from = 20, to = 89 }, "grade"]
""",
    name="study.toml",
)


class ListeningNetwork(FragileNetwork):
    """A network whose platform is ``recording_platform.py``."""

    @property
    def record(self) -> Path:
        """Where it writes down what it receives."""
        return self.folder / "platform" / "record"

    def start_platform(self) -> None:
        """Start the recording platform."""
        script = Path(__file__).with_name("recording_platform.py")
        command = ["coordinator", "serve", "--folder", str(self.folder / "platform")]
        with (self.folder / "platform.log").open("ab") as log:
            self.processes["platform"] = subprocess.Popen(
                [sys.executable, str(script), str(self.record), *command, "--with-parent"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )


@dataclass(frozen=True)
class Seen:
    """All that the platform saw, and what it must not have seen."""

    everything: bytes
    sealed: list[bytes]
    output_shares: list[field.Words]
    exact: dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.int64]]"]
    noisy: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]"


@pytest.fixture(scope="module")
def seen() -> Seen:
    data = data_of(*NAMES)
    with ListeningNetwork(data=data, overlap=1, policy=POLICY) as network:
        network.wait_until_attending(STUDY)
        story = network.ask(STUDY)
        assert story.result is not None
        with PlatformClient(network.researcher) as platform:
            platform.preview(STUDY)
        state = (network.folder / "platform" / "state").rglob("*")
        raw = b"\n".join(path.read_bytes() for path in sorted(state) if path.is_file())
        database = network.folder / "platform" / "state" / "coordinator.db"
        everything = (
            network.record.read_bytes() + network.log("platform").encode() + raw + _rows(database)
        )
        with Database(f"sqlite:///{database}", COORDINATOR) as opened:
            studies = Studies(opened)
            descriptor = Descriptor.from_canonical(
                studies.papers(story.result.session, "descriptor")[""]
            )
            outputs = [
                study_pb2.Output.FromString(paper)
                for paper in studies.papers(story.result.session, "output").values()
            ]
        shares = [
            unseal_share(
                output.sealed,
                network.researcher.sealing,
                session=descriptor.digest,
                sender=descriptor.roster[output.index].name,
                index=output.index,
                cells=descriptor.cells,
            )
            for output in outputs
        ]
    kind = work_out(STUDY, network_overlap=1).kind
    exact = {
        name: tabulate(kind.measures(), kind.layout(), cases_of(files_))
        for name, files_ in data.items()
    }
    exact["all together"] = np.sum(list(exact.values()), axis=0)
    return Seen(
        everything=everything,
        sealed=[output.sealed for output in outputs],
        output_shares=shares,
        exact=exact,
        noisy=story.result.noisy,
    )


def _rows(path: Path) -> bytes:
    """Every value of every table of a database, one after the other."""
    with sqlite3.connect(path) as database:
        tables = [
            row[0]
            for row in database.execute(
                "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE TABLE%'"
            )
        ]
        values = [v for t in tables for row in database.execute(f"SELECT * FROM {t}") for v in row]
    database.close()
    return b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in values)


def spellings(numbers: list[int]) -> Iterator[bytes]:
    """Numbers in a row, as a program or a careless log line might write them."""
    for size, order in ((8, "little"), (8, "big"), (4, "little"), (4, "big"), (2, "little")):
        try:
            words = b"".join(n.to_bytes(size, order, signed=True) for n in numbers)
        except OverflowError:
            continue
        yield words
        yield words.hex().encode()
        yield words.hex().upper().encode()
        for shift in range(3):  # base64 of bytes that begin anywhere in a group of three
            whole = base64.b64encode(bytes(shift) + words)[4 if shift else 0 :]
            whole = whole[:-4] if whole.endswith(b"=") else whole
            yield whole
            yield whole.translate(bytes.maketrans(b"+/", b"-_"))
    yield b"".join(_varint(n) for n in numbers)
    for separator in (",", ", ", " ", "\n", ";", "\t"):
        yield separator.join(map(str, numbers)).encode()
        yield separator.join(f"{n}.0" for n in numbers).encode()


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


def found(numbers: list[int], haystack: bytes) -> bool:
    """Whether the numbers stand in a row anywhere, in any of the spellings."""
    return any(spelling in haystack for spelling in spellings(numbers))


def tellings(vector: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]") -> list[list[int]]:
    """The pieces of a count vector that cannot stand anywhere by accident."""
    size = 12
    pieces = [vector[i : i + size].tolist() for i in range(0, len(vector) - size, size)]
    return [piece for piece in pieces if len(set(piece)) >= 4]


def looks_like_shares(haystack: bytes) -> bool:
    """Whether a table of field elements stands anywhere, in bytes or in text."""
    texts = [haystack]
    for run in re.findall(rb"[0-9a-fA-F]{%d,}" % (16 * RUN), haystack):
        texts.append(bytes.fromhex(run[: len(run) // 2 * 2].decode()))
        texts.append(bytes.fromhex(run[1 : (len(run) - 1) // 2 * 2 + 1].decode()))
    for run in re.findall(rb"[0-9A-Za-z+/_-]{%d,}" % (11 * RUN), haystack):
        plain = run.translate(bytes.maketrans(b"-_", b"+/"))
        for shift in range(4):
            rest = plain[shift:]
            texts.append(base64.b64decode(rest[: len(rest) // 4 * 4]))
    decimal = re.search(rb"(?:\d{16,19}[^\d]{1,4}){%d}" % RUN, haystack)
    return decimal is not None or any(map(_has_elements, texts))


def _has_elements(content: bytes) -> bool:
    """Whether RUN words of 8 bytes in a row, from any byte on, are below 2^61 and not small."""
    for order in ("<u8", ">u8"):
        for start in range(8):
            words = np.frombuffer(content[start : start + (len(content) - start) // 8 * 8], order)
            fits = (words < 2**61) & (words >= 2**40)
            length = 0
            edges = np.flatnonzero(np.diff(np.concatenate(([0], fits.astype(np.int8), [0]))))
            if len(edges):
                length = int((edges[1::2] - edges[::2]).max())
            if length >= RUN:
                return True
    return False


def test_the_record_is_complete(seen: Seen) -> None:
    assert len(seen.sealed) == 3
    for sealed in seen.sealed:
        assert seen.everything.count(sealed) >= 2  # received, and stored


def test_no_output_share_is_seen(seen: Seen) -> None:
    for share in seen.output_shares:
        for element in share[:64].tolist():
            assert not found([element], seen.everything)


def test_no_exact_count_vector_is_seen(seen: Seen) -> None:
    for name, vector in seen.exact.items():
        pieces = tellings(vector)
        assert pieces, f"the counts of {name} are too plain to be searched for"
        for piece in pieces:
            assert not found(piece, seen.everything)


def test_the_noisy_answer_is_not_seen(seen: Seen) -> None:
    pieces = tellings(seen.noisy)
    assert pieces
    for piece in pieces:
        assert not found(piece, seen.everything)


def test_nothing_seen_has_the_form_of_shares(seen: Seen) -> None:
    assert not looks_like_shares(seen.everything)


def planted(seen: Seen, content: bytes) -> bytes:
    """The record with something in the middle of it, at an odd place."""
    middle = len(seen.everything) // 2 | 1
    return seen.everything[:middle] + content + seen.everything[middle:]


@pytest.mark.parametrize(
    "spell",
    [
        lambda words: words.tobytes(),
        lambda words: words.byteswap().tobytes(),
        lambda words: b"\1\2\3" + words.tobytes(),
        lambda words: words.tobytes().hex().encode(),
        lambda words: base64.b64encode(words.tobytes()),
        lambda words: base64.urlsafe_b64encode(b"\1" + words.tobytes()),
        lambda words: json.dumps(words.tolist()).encode(),
        lambda words: " ".join(map(str, words.tolist())).encode(),
    ],
)
def test_a_planted_share_is_found(seen: Seen, spell: object) -> None:
    share = seen.output_shares[1]

    haystack = planted(seen, spell(share))  # type: ignore[operator]

    assert looks_like_shares(haystack)
    assert found([int(share[20])], haystack)


@pytest.mark.parametrize(
    "spell",
    [
        lambda counts: counts.astype("<i8").tobytes(),
        lambda counts: counts.astype("<i4").tobytes(),
        lambda counts: counts.astype(">i8").tobytes().hex().encode(),
        lambda counts: base64.b64encode(b"\1" + counts.astype("<i8").tobytes()),
        lambda counts: json.dumps(counts.tolist()).encode(),
        lambda counts: json.dumps(counts.tolist(), separators=(",", ":")).encode(),
        lambda counts: "\n".join(map(str, counts.tolist())).encode(),
        lambda counts: b"".join(_varint(n) for n in counts.tolist()),
    ],
)
def test_a_planted_count_vector_is_found(seen: Seen, spell: object) -> None:
    for vector in (seen.exact["de-a"], seen.noisy):
        haystack = planted(seen, spell(vector))  # type: ignore[operator]

        assert any(found(piece, haystack) for piece in tellings(vector))
