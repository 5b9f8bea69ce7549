"""Receipts: what is signed, and how it is written."""

from dataclasses import replace

import pytest

from upcare_mpc.deposits.receipt import Receipt
from upcare_mpc.errors import ProtocolError

RECEIPT = Receipt(
    collection=b"\1" * 32, place=7, deposit=b"\2" * 32, time=1_800_000_000, signature=b"signed"
)


def test_it_is_read_back() -> None:
    assert Receipt.from_bytes(RECEIPT.to_bytes()) == RECEIPT


@pytest.mark.parametrize("field", ["collection", "place", "deposit", "time"])
def test_every_field_is_signed(field: str) -> None:
    other: dict[str, object] = {field: 8 if field in {"place", "time"} else bytes(32)}
    assert replace(RECEIPT, **other).statement() != RECEIPT.statement()


@pytest.mark.parametrize("bad", [b"", b"UDQ1", RECEIPT.to_bytes()[:-1], RECEIPT.to_bytes() + b"x"])
def test_other_bytes_are_refused(bad: bytes) -> None:
    with pytest.raises(ProtocolError):
        Receipt.from_bytes(bad)
