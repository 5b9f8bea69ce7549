"""Fields go in and come out; no two lists of fields have the same bytes."""

from itertools import permutations

import pytest

from upcare_mpc.abe.groups import ORDER
from upcare_mpc.abe.statements import scalar_bytes, scalar_from_bytes, statement
from upcare_mpc.errors import ProtocolError
from upcare_mpc.study.packed import pack, unpack


@pytest.mark.parametrize("fields", [[], [b""], [b"", b""], [b"a", b"bc", b""], [b"\0" * 300]])
def test_fields_come_back(fields: list[bytes]) -> None:
    assert unpack(b"UXX1", pack(b"UXX1", *fields), most=400) == fields


def test_a_statement_is_one_of_its_use_and_fields_alone() -> None:
    uses, texts = ("a", "ab"), (b"", b"a", b"b", b"ab", b"|")
    statements = [
        statement(use, *fields)
        for use in uses
        for count in range(3)
        for fields in permutations(texts, count)
    ]

    assert statement("a", b"b") == b"upcare/v1/abe-a|\0\0\0\1b"
    assert len(set(statements)) == len(statements)


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"UXX",
        b"UXX2\0\0\0\1a",
        b"UXX1\0",
        b"UXX1\0\0\0",
        b"UXX1\0\0\0\2a",
        b"UXX1\0\0\0\1ab",
        b"UXX1\xff\xff\xff\xffa",
    ],
)
def test_cut_lengthened_and_foreign_bytes_are_refused(encoded: bytes) -> None:
    with pytest.raises(ProtocolError):
        unpack(b"UXX1", encoded, most=400)


def test_bytes_beyond_the_limit_are_not_read() -> None:
    encoded = pack(b"UXX1", b"abc")

    assert unpack(b"UXX1", encoded, most=len(encoded)) == [b"abc"]
    with pytest.raises(ProtocolError, match=r"at most 10 bytes of version UXX1"):
        unpack(b"UXX1", encoded, most=10)


def test_more_fields_than_any_message_has_are_not_read() -> None:
    """An empty field has 4 bytes: a large message of them would cost seconds."""
    assert len(unpack(b"UXX1", pack(b"UXX1", *[b""] * 4096), most=1 << 20)) == 4096
    with pytest.raises(ProtocolError, match="at most 4096 fields"):
        unpack(b"UXX1", pack(b"UXX1", *[b""] * 4097), most=1 << 20)


@pytest.mark.parametrize("scalar", [0, 1, ORDER - 1])
def test_a_scalar_comes_back(scalar: int) -> None:
    assert scalar_from_bytes(scalar_bytes(scalar)) == scalar


@pytest.mark.parametrize("encoded", [b"", bytes(31), bytes(33), ORDER.to_bytes(32), b"\xff" * 32])
def test_other_bytes_are_no_scalar(encoded: bytes) -> None:
    with pytest.raises(ProtocolError, match="not the bytes of a scalar"):
        scalar_from_bytes(encoded)
