"""Keys of collections: all holders have signed one and the same, or it is none."""

from dataclasses import replace

import pytest
from made_papers import collection, holder_keys, signature, verify

from upcare_mpc.deposits.key import HolderKey, agreed_key, seed_of
from upcare_mpc.errors import ProtocolError


def test_a_key_that_all_have_signed_is_taken() -> None:
    wanted = collection()
    keys = [HolderKey.from_bytes(key.to_bytes()) for key in holder_keys(wanted)]

    key = agreed_key(wanted, keys, verify)

    assert key.public is not None
    assert key.public.seed == seed_of(wanted)
    assert key.public.to_bytes() == keys[0].public
    assert key.sealing == (b"\6" * 32,) * 3


def test_order_does_not_matter() -> None:
    wanted, keys = collection(), holder_keys(collection())
    assert agreed_key(wanted, keys[::-1], verify) == agreed_key(wanted, keys, verify)


def test_a_collection_of_sealed_shares_has_no_joint_key() -> None:
    wanted = collection(envelope="sealed")
    assert agreed_key(wanted, holder_keys(wanted), verify).public is None
    with pytest.raises(ProtocolError, match="no joint key"):
        agreed_key(wanted, holder_keys(wanted, public=b"x"), verify)


def test_one_signature_short_is_none() -> None:
    wanted, keys = collection(), holder_keys(collection())
    for missing in range(3):
        rest = keys[:missing] + keys[missing + 1 :]
        with pytest.raises(ProtocolError, match="not every holder"):
            agreed_key(wanted, rest, verify)
        with pytest.raises(ProtocolError, match="not every holder"):
            agreed_key(wanted, [*rest, rest[0]], verify)


def test_a_key_of_the_platforms_own_is_refused() -> None:
    """It keeps two holders' words and puts a key whose secret it knows in the place of a third."""
    wanted, keys = collection(), holder_keys(collection())
    own = replace(keys[2], public=holder_keys(wanted)[0].public)

    with pytest.raises(ProtocolError, match="de-c did not sign"):
        agreed_key(wanted, [*keys[:2], own], verify)
    signed = own.signed(lambda text: signature("de-c", text))
    with pytest.raises(ProtocolError, match="different keys"):
        agreed_key(wanted, [*keys[:2], signed], verify)


def test_a_key_of_another_collection_is_refused() -> None:
    wanted, other = collection(), collection(nonce=bytes(16))
    with pytest.raises(ProtocolError, match="not every holder"):
        agreed_key(wanted, holder_keys(other), verify)
    moved = holder_keys(wanted, public=holder_keys(other)[0].public)
    with pytest.raises(ProtocolError, match="of another collection"):
        agreed_key(wanted, moved, verify)


@pytest.mark.parametrize("field", ["collection", "holder", "public", "sealing"])
def test_every_field_is_signed(field: str) -> None:
    key = holder_keys(collection())[0]
    other: dict[str, object] = {field: "de-b" if field == "holder" else bytes(32)}
    assert replace(key, **other).statement() != key.statement()


@pytest.mark.parametrize("cut", [0, 4, 40, -1])
def test_cut_bytes_are_refused(cut: int) -> None:
    with pytest.raises(ProtocolError):
        HolderKey.from_bytes(holder_keys(collection())[0].to_bytes()[:cut])
