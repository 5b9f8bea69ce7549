"""Story: a sealed key made of points that vanish in every pairing.

The neutral element pairs to 1 with anything, and so does a point of small order outside the
subgroup: its order and that of the target group have no common factor. A "ciphertext" of such
points hides the element 1 for every key there is. Who sends it knows what readers will derive, and
what is wrapped under that is open to everybody.
"""

import secrets

import py_arkworks_bls12381 as library
import pytest
from py_ecc import optimized_bls12_381 as curve

from upcare_mpc.abe.groups import (
    G1,
    G1_BYTES,
    G2,
    G2_BYTES,
    Group,
    default_group,
    random_scalar,
    reference_group,
)
from upcare_mpc.abe.kem import decapsulate, encapsulate
from upcare_mpc.abe.policy import parse
from upcare_mpc.abe.scheme import Ciphertext, decrypt, keygen, setup
from upcare_mpc.errors import ProtocolError

GROUP = default_group()
BOTH = [GROUP, reference_group()]
POLICY = parse("and(a:1,a:2)")
IDENTITY_G1 = b"\xc0" + bytes(G1_BYTES - 1)
IDENTITY_G2 = b"\xc0" + bytes(G2_BYTES - 1)
OF_ORDER_THREE = b"\x80" + bytes(G1_BYTES - 1)  # x = 0, y = 2


def scalar() -> int:
    return random_scalar(secrets.token_bytes)


def unchecked_g1(encoded: bytes) -> G1:
    """What a reader that trusts its input would decode."""
    return G1(GROUP.backend, library.G1Point.from_compressed_bytes_unchecked(encoded))


def unchecked_g2(encoded: bytes) -> G2:
    return G2(GROUP.backend, library.G2Point.from_compressed_bytes_unchecked(encoded))


@pytest.mark.parametrize("row", [IDENTITY_G1, OF_ORDER_THREE], ids=["identity", "order 3"])
def test_without_checks_such_a_ciphertext_opens_to_one_for_every_key(row: bytes) -> None:
    nothing = unchecked_g2(IDENTITY_G2)
    ciphertext = Ciphertext(
        policy=POLICY, ct1=nothing, ct2=(nothing,), ct3=(unchecked_g1(row), unchecked_g1(row))
    )

    for alpha in (scalar(), scalar()):
        key = keygen(GROUP, alpha, ("a:1", "a:2"), scalar())
        assert decrypt(GROUP, ciphertext, key).is_one


def test_the_point_of_order_three_is_one() -> None:
    point = (curve.FQ(0), curve.FQ(2), curve.FQ(1))

    assert curve.is_on_curve(point, curve.b)
    assert curve.is_inf(curve.multiply(point, 3))


@pytest.mark.parametrize("group", BOTH, ids=lambda group: group.backend.name)
@pytest.mark.parametrize("place", range(4), ids=["ct1", "ct2", "ct3 first", "ct3 second"])
def test_a_header_with_a_vanishing_point_anywhere_does_not_open(group: Group, place: int) -> None:
    alpha = 2**199 + 3
    public = setup(GROUP, alpha)
    header, _ = encapsulate(public, POLICY, context=b"", random=secrets.token_bytes)
    start = 6 + len(str(POLICY))
    at = start + (G2_BYTES * place if place < 2 else 2 * G2_BYTES + G1_BYTES * (place - 2))
    points = [IDENTITY_G2] if place < 2 else [IDENTITY_G1, OF_ORDER_THREE]

    here = setup(group, alpha)
    key = keygen(group, alpha, ("a:1", "a:2"), 5)
    for point in points:
        altered = header[:at] + point + header[at + len(point) :]
        with pytest.raises(ProtocolError, match="the sealed key does not open"):
            decapsulate(here, key, altered, context=b"")


@pytest.mark.parametrize("group", BOTH, ids=lambda group: group.backend.name)
def test_a_public_key_that_vanishes_is_refused(group: Group) -> None:
    # Under it every hidden element would be 1.
    with pytest.raises(ProtocolError, match="these are not the bytes of a point of G2"):
        group.g2_from_bytes(IDENTITY_G2)
