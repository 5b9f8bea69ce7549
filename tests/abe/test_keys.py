"""Keys have one encoding each, and every other byte string is refused."""

import secrets

import pytest

from upcare_mpc.abe.groups import Group, random_scalar
from upcare_mpc.abe.keys import MAX_ATTRIBUTES, AttributeKey, PublicKey, check_attributes
from upcare_mpc.abe.scheme import keygen, setup
from upcare_mpc.errors import InputError, ProtocolError

ALPHA, R = 2**200 + 7, 2**100 + 3
HEAD = len(b"UAK1") + 1 + 48 + 96


def scalar() -> int:
    return random_scalar(secrets.token_bytes)


def test_a_public_key_has_100_bytes_and_comes_back(group: Group) -> None:
    encoded = bytes(setup(group, ALPHA))

    assert len(encoded) == 100
    assert encoded.startswith(b"UAP1")
    assert bytes(PublicKey.from_bytes(group, encoded)) == encoded


def test_an_attribute_key_comes_back_with_its_attributes_in_order(group: Group) -> None:
    key = keygen(group, ALPHA, ("site:de-a", "duo:hmb"), R)

    again = AttributeKey.from_bytes(group, bytes(key))

    assert again.attributes == ("duo:hmb", "site:de-a")
    assert (again.sk1, again.sk2, again.sk3) == (key.sk1, key.sk2, key.sk3)
    assert bytes(again) == bytes(key)
    assert len(bytes(key)) == HEAD + 2 * 49 + len("duo:hmb" + "site:de-a")


def test_keys_have_the_same_bytes_in_both_libraries(fast: Group, reference: Group) -> None:
    attributes = ("a:x", "b:y")

    assert bytes(setup(fast, ALPHA)) == bytes(setup(reference, ALPHA))
    in_rust = bytes(keygen(fast, ALPHA, attributes, R))
    assert in_rust == bytes(keygen(reference, ALPHA, attributes, R))


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b"",
        lambda b: b[:4],
        lambda b: b[:-1],
        lambda b: b + b"\0",
        lambda b: b"UAP2" + b[4:],
        lambda b: b"UAK1" + b[4:],
        lambda b: b"UAP1" + b"\xc0" + bytes(95),
        lambda b: b"UAP1" + b"\x80" + bytes(94) + b"\1",
    ],
    ids=["empty", "version alone", "short", "long", "version 2", "kind", "identity", "order"],
)
def test_what_is_no_public_key_is_refused(group: Group, change: object) -> None:
    assert callable(change)

    with pytest.raises(ProtocolError, match="these are not the bytes of a p"):
        PublicKey.from_bytes(group, change(bytes(setup(group, ALPHA))))


def swapped(encoded: bytes) -> bytes:
    """The two attributes of a key, each of three letters, in the wrong order."""
    first, second = encoded[HEAD : HEAD + 52], encoded[HEAD + 52 :]
    return encoded[:HEAD] + second + first


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b"",
        lambda b: b[: HEAD - 1],
        lambda b: b[:HEAD],
        lambda b: b[:-1],
        lambda b: b + b"\0",
        lambda b: b"UAK2" + b[4:],
        lambda b: b[:4] + b"\x00" + b[5:HEAD],
        lambda b: b[:4] + b"\x01" + b[5:],
        lambda b: b[:4] + b"\x03" + b[5:],
        lambda b: b[:4] + b"\xff" + b[5:],
        lambda b: b[:HEAD] + b"\xff" + b[HEAD + 1 :],
        lambda b: b[:HEAD] + b"\x00" + b[HEAD + 1 :],
        lambda b: b.replace(b"b:y", b"a:x"),
        lambda b: b.replace(b"a:x", b"A:x"),
        lambda b: b.replace(b"a:x", b"a:\xff"),
        lambda b: b.replace(b"a:x", b"axx"),
        swapped,
        lambda b: b[:5] + b"\xc0" + bytes(47) + b[53:],
        lambda b: b[:53] + b"\xc0" + bytes(95) + b[149:],
        lambda b: b[:-48] + b"\xc0" + bytes(47),
        lambda b: b[:-48] + b"\x80" + bytes(47),
    ],
)
def test_what_is_no_attribute_key_is_refused(fast: Group, change: object) -> None:
    encoded = bytes(keygen(fast, ALPHA, ("a:x", "b:y"), R))
    assert callable(change)
    assert change(encoded) != encoded

    with pytest.raises(ProtocolError, match="these are not the bytes of a"):
        AttributeKey.from_bytes(fast, change(encoded))


def test_cut_anywhere_a_key_is_refused(fast: Group) -> None:
    encoded = bytes(keygen(fast, ALPHA, ("a:x", "b:y"), R))

    for length in range(len(encoded)):
        with pytest.raises(ProtocolError, match="not the bytes of an ABE attribute key"):
            AttributeKey.from_bytes(fast, encoded[:length])


def test_the_attributes_of_a_key_are_counted_and_distinct() -> None:
    most = tuple(f"a:{i}" for i in range(MAX_ATTRIBUTES))

    assert len(check_attributes(most)) == MAX_ATTRIBUTES
    with pytest.raises(InputError, match="1 to 128 attributes, got 129"):
        check_attributes((*most, "b:1"))
    with pytest.raises(InputError, match="1 to 128 attributes, got 0"):
        check_attributes(())
    with pytest.raises(InputError, match="stands twice"):
        check_attributes(("a:x", "a:x"))
    with pytest.raises(InputError, match="written namespace:value"):
        check_attributes(("a:x", "b"))


def test_a_key_does_not_show_what_is_secret(fast: Group) -> None:
    key = keygen(fast, ALPHA, ("a:x",), R)

    assert repr(key) == "AttributeKey(attributes=('a:x',))"


def test_tables_change_no_byte(fast: Group) -> None:
    public = setup(fast, scalar())
    prepared = public.prepare(["a:x"])
    k, part, prime = scalar(), scalar(), scalar()

    assert prepared.power(k) == public.power(k)
    assert prepared.blind(k) == public.blind(k)
    for attribute in ("a:x", "a:not-prepared"):
        assert prepared.row(attribute, part, prime) == public.row(attribute, part, prime)
    assert prepared.row("a:x", 0, prime) == public.row("a:x", 0, prime)
    assert bytes(prepared) == bytes(public)
