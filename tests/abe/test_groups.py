"""Both libraries give the same bytes, those of the standards, and refuse the same points."""

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from py_ecc import optimized_bls12_381 as curve
from py_ecc.bls import point_compression as compression

from upcare_mpc.abe import groups
from upcare_mpc.abe.groups import G1_BYTES, GT_BYTES, ORDER, Group, PowerTable
from upcare_mpc.errors import ProtocolError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "abe_groups.json").read_text())
FIELD = int(curve.field_modulus)
COFACTOR_G1 = 0x396C8C005555E1568C00AAAB0000AAAB


def scalar() -> int:
    return groups.random_scalar(secrets.token_bytes)


def g1_encoding(x: int, flags: int = 0b100) -> bytes:
    return (x + (flags << 381)).to_bytes(G1_BYTES)


def g2_encoding(high: int, low: int, flags: int = 0b100) -> bytes:
    return (high + (flags << 381)).to_bytes(48) + low.to_bytes(48)


def on_the_curve_g1(start: int) -> bytes:
    """The first point at or after x = start: of the curve, and of the subgroup once in 2^125."""
    for x in range(start, start + 100):
        if pow(x**3 + 4, (FIELD - 1) // 2, FIELD) == 1:
            return g1_encoding(x)
    raise AssertionError


def on_the_curve_g2(start: int) -> bytes:
    for x in range(start, start + 100):
        try:
            compression.decompress_G2((1 << 383, x))
        except ValueError:
            continue
        return g2_encoding(0, x)
    raise AssertionError


def of_order_eleven() -> bytes:
    """A point of G1's curve of order 11: its points of that order are 11 x 11."""
    assert COFACTOR_G1 % 121 == 0
    for start in range(5, 500, 5):
        point = compression.decompress_G1(int.from_bytes(on_the_curve_g1(start)))
        small = curve.multiply(point, COFACTOR_G1 // 121 * ORDER)
        if not curve.is_inf(small):
            assert curve.is_inf(curve.multiply(small, 11))
            return int(compression.compress_G1(small)).to_bytes(G1_BYTES)
    raise AssertionError


def not_reduced_g1() -> bytes:
    """A point of G1 whose coordinate, the modulus added, still fits below the flags."""
    points = (bytes(groups.default_group().g1 * k) for k in range(1, 100))
    for point in points:
        x = int.from_bytes(point) % (1 << 381)
        if x + FIELD < 1 << 381:
            return g1_encoding(x + FIELD, point[0] >> 5)
    raise AssertionError


def off_the_curve_g1() -> bytes:
    x = next(x for x in range(100) if pow(x**3 + 4, (FIELD - 1) // 2, FIELD) == FIELD - 1)
    return g1_encoding(x)


GENERATOR_G1 = bytes.fromhex(VECTORS["generators"]["g1"])
GENERATOR_G2 = bytes.fromhex(VECTORS["generators"]["g2"])
X_G1 = int.from_bytes(GENERATOR_G1) % (1 << 381)

NOT_OF_G1 = {
    "nothing": b"",
    "zeros": bytes(48),
    "identity": g1_encoding(0, 0b110),
    "identity with a sign": g1_encoding(0, 0b111),
    "identity with a coordinate": g1_encoding(1, 0b110),
    "all ones": b"\xff" * 48,
    "not marked compressed": GENERATOR_G1[:1].replace(b"\x97", b"\x17") + GENERATOR_G1[1:],
    "marked infinite": g1_encoding(X_G1, 0b110),
    "coordinate of a point, not reduced": not_reduced_g1(),
    "coordinate of the modulus": g1_encoding(FIELD),
    "off the curve": off_the_curve_g1(),
    "on the curve, of order 3": g1_encoding(0),
    "on the curve, of order 11": of_order_eleven(),
    "on the curve, outside the subgroup": on_the_curve_g1(4),
    "another one outside": on_the_curve_g1(1 << 300),
    "one byte short": GENERATOR_G1[:-1],
    "one byte long": GENERATOR_G1 + b"\0",
    "a point of G2": GENERATOR_G2,
    "uncompressed": b"\x17" + GENERATOR_G1[1:] + bytes(48),
}
NOT_OF_G2 = {
    "nothing": b"",
    "zeros": bytes(96),
    "identity": g2_encoding(0, 0, 0b110),
    "identity with a sign": g2_encoding(0, 0, 0b111),
    "identity with a coordinate": g2_encoding(0, 1, 0b110),
    "all ones": b"\xff" * 96,
    "not marked compressed": bytes([GENERATOR_G2[0] & 0x7F]) + GENERATOR_G2[1:],
    "marked infinite": bytes([GENERATOR_G2[0] | 0x40]) + GENERATOR_G2[1:],
    "first coordinate of the modulus": g2_encoding(FIELD, 5),
    "second coordinate of the modulus": g2_encoding(5, FIELD),
    "flags on the second coordinate": GENERATOR_G2[:48]
    + bytes([GENERATOR_G2[48] | 0x80])
    + GENERATOR_G2[49:],
    "on the curve, outside the subgroup": on_the_curve_g2(1),
    "another one outside": on_the_curve_g2(1 << 300),
    "one byte short": GENERATOR_G2[:-1],
    "one byte long": GENERATOR_G2 + b"\0",
    "a point of G1": GENERATOR_G1,
}


@pytest.mark.parametrize("case", VECTORS["hash_to_g1"], ids=lambda case: case["message"][:16])
def test_hashes_to_g1_are_those_of_rfc_9380(group: Group, case: dict[str, str]) -> None:
    point = group.hash_to_g1(case["message"].encode(), tag=VECTORS["tag"].encode())

    sign = int(case["y"], 16) * 2 // FIELD
    assert bytes(point) == g1_encoding(int(case["x"], 16), 0b100 | sign)


def test_a_hash_depends_on_its_tag(group: Group) -> None:
    assert group.hash_to_g1(b"a", tag=b"one") != group.hash_to_g1(b"a", tag=b"two")


def test_generators_are_those_of_the_curve(group: Group) -> None:
    assert bytes(group.g1) == GENERATOR_G1
    assert bytes(group.g2) == GENERATOR_G2


@pytest.mark.parametrize("case", VECTORS["pairings"], ids=lambda case: str(case["g1"]))
def test_pairings_have_the_bytes_of_the_vectors(group: Group, case: dict[str, object]) -> None:
    value = group.pair((group.g1 * int(str(case["g1"])), group.g2 * int(str(case["g2"]))))

    assert bytes(value).hex() == case["value"]


def test_points_have_the_same_bytes_in_both_libraries(fast: Group, reference: Group) -> None:
    for k in [1, 2, ORDER - 1, *(scalar() for _ in range(5))]:
        assert bytes(fast.g1 * k) == bytes(reference.g1 * k)
        assert bytes(fast.g2 * k) == bytes(reference.g2 * k)
        assert bytes(-(fast.g2 * k)) == bytes(reference.g2 * (ORDER - k))


def test_points_of_one_library_decode_in_the_other(fast: Group, reference: Group) -> None:
    k = scalar()

    assert bytes(fast.g1_from_bytes(bytes(reference.g1 * k))) == bytes(fast.g1 * k)
    assert bytes(reference.g2_from_bytes(bytes(fast.g2 * k))) == bytes(fast.g2 * k)


def test_products_of_pairings_agree_and_are_bilinear(fast: Group, reference: Group) -> None:
    a, b = scalar(), scalar()

    product = fast.pair((fast.g1 * a, fast.g2), (fast.g1, fast.g2 * b))

    assert product == fast.pair((fast.g1, fast.g2 * (a + b)))
    in_python = reference.pair((reference.g1 * (a + b), reference.g2))
    assert bytes(product) == bytes(in_python)
    assert len(bytes(product)) == GT_BYTES


def test_the_product_in_gt_is_that_of_the_group(group: Group) -> None:
    value = group.pair((group.g1, group.g2))

    assert value * value == group.pair((group.g1 * 2, group.g2))
    assert not value.is_one
    assert group.pair((group.g1, group.g2), (-group.g1, group.g2)).is_one


def test_scalars_are_taken_modulo_the_order(group: Group) -> None:
    assert group.g1 * -1 == -group.g1
    assert group.g1 * (ORDER + 3) == group.g1 * 3


def test_a_combination_is_the_sum_of_multiples(group: Group) -> None:
    k = [scalar() for _ in range(3)]
    points = [group.g1 * i for i in (1, 2, 5)]

    assert group.combine(points, k) == group.g1 * (k[0] + 2 * k[1] + 5 * k[2])
    assert group.combine(points, [1, 1, 1]) == group.g1 * 8
    assert group.combine([group.g2, group.g2 * 3], [7, ORDER - 1]) == group.g2 * 4


def test_a_combination_of_unequal_lists_is_a_bug(group: Group) -> None:
    with pytest.raises(AssertionError):
        group.combine([group.g1, group.g1], [2])


@pytest.mark.parametrize("k", [1, 63, 64, 2**252, ORDER - 1])
def test_tables_give_the_multiples_and_powers(fast: Group, k: int) -> None:
    value = fast.pair((fast.g1, fast.g2))

    assert PowerTable(fast.g1).power(k) == fast.g1 * k
    assert PowerTable(fast.g2).power(k) == fast.g2 * k
    assert PowerTable(value).power(k) == fast.pair((fast.g1 * k, fast.g2))


@pytest.mark.parametrize("name", NOT_OF_G1)
def test_what_is_not_a_point_of_g1_is_refused_with_one_text(group: Group, name: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        group.g1_from_bytes(NOT_OF_G1[name])

    assert str(caught.value) == "these are not the bytes of a point of G1"


@pytest.mark.parametrize("name", NOT_OF_G2)
def test_what_is_not_a_point_of_g2_is_refused_with_one_text(group: Group, name: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        group.g2_from_bytes(NOT_OF_G2[name])

    assert str(caught.value) == "these are not the bytes of a point of G2"


def test_both_libraries_judge_random_and_flipped_bytes_alike(fast: Group, reference: Group) -> None:
    def judged(group: Group, encoded: bytes) -> bytes | None:
        try:
            return bytes(group.g1_from_bytes(encoded))
        except ProtocolError:
            return None

    random = [bytes([0x80 | b[0] & 0x3F]) + b[1:] for b in map(secrets.token_bytes, [48] * 40)]
    point = bytes(fast.g1 * scalar())
    flipped = [(int.from_bytes(point) ^ 1 << bit).to_bytes(48) for bit in range(0, 384, 8)]
    for encoded in random + flipped:
        assert judged(fast, encoded) == judged(reference, encoded)
    assert judged(fast, point) == point


def test_random_scalars_are_never_zero_and_below_the_order() -> None:
    assert groups.random_scalar(bytes) == 1
    assert groups.random_scalar((ORDER - 2).to_bytes) == ORDER - 1
    assert groups.random_scalar((ORDER - 1).to_bytes) == 1
    assert len({scalar() for _ in range(50)}) == 50


def test_without_the_fast_library_the_reference_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "py_arkworks_bls12381", None)
    monkeypatch.delitem(sys.modules, "upcare_mpc.abe.group_arkworks", raising=False)

    assert groups.default_group().backend.name == "py_ecc"


def test_an_element_shows_nothing_of_itself(group: Group) -> None:
    assert repr(group.g1 * 5) == "<G1>"


def test_loading_the_reference_leaves_the_limit_of_recursion_as_it_was() -> None:
    """Above it, nested brackets from the network would overflow the stack of C."""
    program = (
        "import sys; before = sys.getrecursionlimit();"
        "import upcare_mpc.abe.groups, upcare_mpc.abe.group_py_ecc;"
        "assert sys.getrecursionlimit() == before, sys.getrecursionlimit();"
        "import json\n"
        "try: json.loads('[' * 100_000)\n"
        "except RecursionError: print('refused')"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )

    assert ran.stdout == "refused\n", ran.stderr
