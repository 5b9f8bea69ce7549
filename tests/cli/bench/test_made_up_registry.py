"""A made-up file gives exactly the patients and tumours that it was made to hold."""

import io
from collections import Counter

import pytest

from upcare_mpc.cli.bench.made_up_registry import write_encr, write_obds
from upcare_mpc.ingest.delivery import Source, read
from upcare_mpc.records.variables import VARIABLES


def made(write, number):
    file = io.BytesIO()
    account = write(file, number)
    return file.getvalue(), account


def delivery_of(content):
    return read([Source("file", lambda: io.BytesIO(content))], complete=frozenset({"systemic"}))


@pytest.mark.parametrize("write", [write_obds, write_encr])
@pytest.mark.parametrize("number", [1, 700])
def test_reading_gives_what_was_made(write, number):
    content, account = made(write, number)

    delivery = delivery_of(content)

    assert delivery.tally.rejected == {}
    assert (delivery.patients, delivery.tumours) == (account.patients, account.tumours)
    assert (delivery.tally.messages, delivery.tally.replaced) == (
        account.messages,
        account.corrections,
    )


def test_the_messages_are_of_all_kinds_and_some_are_corrected():
    content, account = made(write_obds, 1000)

    kinds = Counter(
        kind
        for kind in ("Diagnose", "OP", "Pathologie", "ST", "SYST", "Verlauf", "Tod")
        for _ in range(content.count(f"</{kind}>".encode()))
    )

    assert min(kinds.values()) > 50
    assert account.corrections > 5
    assert 2.5 < account.messages / account.patients < 3.5


@pytest.mark.parametrize("write", [write_obds, write_encr])
def test_every_code_of_a_short_list_occurs(write):
    content, _ = made(write, 3000)
    cases = delivery_of(content).cases

    for name in ("sex", "grade", "stage", "t", "n", "m", "basis", "vital_status", "tx_chemo"):
        found = {getattr(case, name) for case in cases} - {None}
        assert len(found) >= 2, name
        assert all(VARIABLES[name].type.accepts(value) for value in found), name


@pytest.mark.parametrize("write", [write_obds, write_encr])
def test_the_same_number_gives_the_same_file(write):
    assert made(write, 50) == made(write, 50)


def test_memory_does_not_grow_with_the_file():
    """A file is written in pieces: none is larger in a file ten times as long."""

    class Largest(io.RawIOBase):
        most = 0

        def write(self, piece):
            self.most = max(self.most, len(piece))
            return len(piece)

    small, large = Largest(), Largest()
    write_obds(small, 1000)
    write_obds(large, 10_000)

    assert large.most < 1.2 * small.most
