"""Frames as bytes: one form, which any protobuf reader takes; every other form is refused."""

import random

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc._proto.upcare.link.v1 import link_pb2
from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.frames import HEAD_BYTES, PIECE_BYTES, Piece, read_piece, write_piece
from upcare_mpc.link.grpc_channel import MAX_FRAME_BYTES

REFUSED = "a peer sent something else than a frame after its Hello"
LABELS = st.integers(-(1 << 63), (1 << 63) - 1)
TOTALS = st.one_of(st.integers(0, (1 << 28) - 1), st.sampled_from([0, 127, 128, 1 << 21, 1 << 26]))
CONTENTS = st.one_of(st.binary(max_size=300), st.sampled_from([bytes(1 << 14), bytes(PIECE_BYTES)]))


def written(label: int, total: int, content: bytes) -> bytes:
    return write_piece(label, total, memoryview(content))


def accepted(message: bytes) -> Piece | None:
    """The piece, or ``None`` if it is refused; nothing else may happen."""
    try:
        return read_piece(message)
    except ProtocolError as error:
        text = str(error)
    assert text == REFUSED
    return None


def generated(message: bytes) -> link_pb2.Frame | None:
    """The frame as the generated classes read it, if they do."""
    try:
        request = link_pb2.ExchangeRequest.FromString(message)
    except DecodeError:
        return None
    return request.frame if request.HasField("frame") else None


def short_form(label: int, total: int, content: bytes) -> bytes:
    """The same message as the generated classes write it."""
    frame = link_pb2.Frame(label=label, total=total, piece=content)
    return link_pb2.ExchangeRequest(frame=frame).SerializeToString()


# -- the form ---------------------------------------------------------------------------------


def test_a_frame_is_these_bytes() -> None:
    message = written(-5, 300, b"abc")

    assert message.hex(" ") == (
        "12 96 80 80 00 "  # field 2 of the message, 22 bytes long
        "09 fb ff ff ff ff ff ff ff "  # label, eight bytes
        "10 ac 82 80 00 "  # total
        "1a 83 80 80 00 61 62 63"  # piece
    )


@settings(deadline=None)
@given(LABELS, TOTALS, CONTENTS)
def test_what_is_written_is_read_back(label: int, total: int, content: bytes) -> None:
    piece = read_piece(written(label, total, content))

    assert (piece.label, piece.total, bytes(piece.content)) == (label, total, content)


@settings(deadline=None)
@given(LABELS, TOTALS, CONTENTS)
@pytest.mark.parametrize("message_type", [link_pb2.ExchangeRequest, link_pb2.ExchangeResponse])
def test_the_generated_classes_read_what_is_written(
    message_type: type[link_pb2.ExchangeRequest], label: int, total: int, content: bytes
) -> None:
    message = message_type.FromString(written(label, total, content))

    assert message.WhichOneof("message") == "frame"
    frame = message.frame
    assert (frame.label, frame.total, frame.piece) == (label, total, content)
    assert message.SerializeToString() == short_form(label, total, content)  # and nothing more


def test_a_head_has_one_length_and_leaves_the_payload_aligned() -> None:
    for label, total, size in ((0, 0, 0), (-1, 1 << 26, 1), (1 << 62, 5, PIECE_BYTES)):
        assert len(written(label, total, bytes(size))) == HEAD_BYTES + size
    assert HEAD_BYTES % 8 == 0


def test_a_payload_is_read_where_it_lies_and_cannot_be_changed() -> None:
    message = written(1, 8, b"12345678")

    content = read_piece(message).content

    assert content.obj is message
    assert content.readonly


def test_the_largest_frame_and_piece_fit_the_form() -> None:
    piece = read_piece(written(1, MAX_FRAME_BYTES, bytes(PIECE_BYTES)))

    assert (piece.total, len(piece.content)) == (MAX_FRAME_BYTES, PIECE_BYTES)
    assert max(MAX_FRAME_BYTES, HEAD_BYTES + PIECE_BYTES) < 1 << 28  # what four bytes hold


# -- everything else --------------------------------------------------------------------------


@settings(deadline=None)
@given(LABELS, TOTALS, st.binary(max_size=300))
def test_the_short_form_of_the_generated_classes_is_refused(
    label: int, total: int, content: bytes
) -> None:
    assert accepted(short_form(label, total, content)) is None


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_are_refused_in_one_line(message: bytes) -> None:
    assert accepted(message) is None


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(1, 30), st.binary(min_size=1, max_size=30))
def test_a_frame_cut_short_or_with_more_behind_it_is_refused(
    content: bytes, cut: int, more: bytes
) -> None:
    message = written(7, len(content), content)

    assert accepted(message[:-cut]) is None
    assert accepted(message + more) is None
    assert accepted(message + message) is None


def test_every_changed_byte_of_a_head_is_refused_or_read_as_the_generated_classes_do() -> None:
    """Only label and total may change, and to what protobuf says they are."""
    message = written(0x0102030405060708, 9, b"123456789")
    label, total = range(6, 14), range(15, 19)
    read = 0
    for place in range(HEAD_BYTES):
        for value in range(256):
            changed = bytearray(message)
            changed[place] = value
            piece, frame = accepted(bytes(changed)), generated(bytes(changed))
            if piece is None:
                continue
            assert value == message[place] or place in (*label, *total)
            assert frame is not None
            assert (piece.label, piece.total, piece.content) == (
                frame.label,
                frame.total,
                frame.piece,
            )
            read += 1
    assert read == HEAD_BYTES + 8 * 255 + 4 * 127  # unchanged, any label, any total in four bytes


def test_heads_of_random_changes_never_mean_two_things() -> None:
    """What is accepted is what the generated classes read; 100,000 changes of one to four bytes."""
    chance = random.Random(5)
    message = written(-3, 40, bytes(range(16)))
    accepted_some = False
    for _ in range(100_000):
        changed = bytearray(message)
        for _ in range(chance.randrange(1, 5)):
            changed[chance.randrange(HEAD_BYTES)] = chance.randrange(256)
        piece, frame = accepted(bytes(changed)), generated(bytes(changed))
        if piece is not None:
            accepted_some = True
            assert frame is not None
            assert (piece.label, piece.total) == (frame.label, frame.total)
            assert bytes(piece.content) == frame.piece == bytes(range(16))
    assert accepted_some


def other_orders() -> dict[str, bytes]:
    """Messages that protobuf reads as the same frame, or as one with more in it."""

    def varint(value: int) -> bytes:
        return bytes([value & 0x7F | 0x80, 0x80, 0x80, 0])

    label, total, piece = b"\x09" + bytes(8), b"\x10" + varint(1), b"\x1a" + varint(1) + b"x"
    bodies = {
        "another order": total + label + piece,
        "no label": total + piece,
        "no total": label + piece,
        "no piece": label + total,
        "two pieces": label + total + piece + piece,
        "an unknown field": label + total + piece + b"\x20" + varint(1),
        "a label as a varint": b"\x08" + varint(1) + bytes(4) + total + piece,
    }
    messages = {name: b"\x12" + varint(len(body)) + body for name, body in bodies.items()}
    whole = label + total + piece
    messages["a hello in its place"] = b"\x0a" + varint(len(whole)) + whole
    messages["a frame after a hello"] = b"\x0a" + varint(0) + b"\x12" + varint(len(whole)) + whole
    messages["five-byte varints"] = b"\x12" + b"\x97\x80\x80\x80\x00" + whole[:-1]
    return messages


@pytest.mark.parametrize("name", other_orders())
def test_another_form_of_a_frame_is_refused(name: str) -> None:
    assert accepted(other_orders()[name]) is None


def test_an_empty_message_is_refused() -> None:
    assert accepted(b"") is None
    assert accepted(link_pb2.ExchangeRequest().SerializeToString()) is None
    assert accepted(link_pb2.ExchangeRequest(hello=link_pb2.Hello()).SerializeToString()) is None
