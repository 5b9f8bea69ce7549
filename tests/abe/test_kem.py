"""A header opens to its wrapping key for whom its policy names, and for nobody else."""

import json
import secrets
from pathlib import Path

import pytest

from upcare_mpc.abe.groups import Group, random_scalar
from upcare_mpc.abe.kem import KEY_BYTES, MAX_HEADER_BYTES, decapsulate, encapsulate
from upcare_mpc.abe.keys import AttributeKey, PublicKey
from upcare_mpc.abe.policy import parse
from upcare_mpc.abe.scheme import keygen, setup
from upcare_mpc.errors import ProtocolError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "abe.json").read_text())
CONTEXT = b"de-a|2026-11"
POLICY = "and(site:de-a,epoch:2026-11,or(duo:hmb,ds:c50))"
ATTRIBUTES = ("site:de-a", "epoch:2026-11", "ds:c50")
ALPHA = 2**250 + 5
REFUSAL = "the sealed key does not open"


def scalar() -> int:
    return random_scalar(secrets.token_bytes)


def sealed(group: Group, policy: str = POLICY) -> tuple[bytes, bytes]:
    return encapsulate(
        setup(group, ALPHA), parse(policy), context=CONTEXT, random=secrets.token_bytes
    )


def opened(group: Group, header: bytes, attributes: tuple[str, ...] = ATTRIBUTES) -> bytes:
    key = keygen(group, ALPHA, attributes, scalar())
    return decapsulate(setup(group, ALPHA), key, header, context=CONTEXT)


@pytest.mark.parametrize("case", VECTORS["good"], ids=lambda case: case["name"])
def test_the_vectors_are_made(group: Group, case: dict[str, str]) -> None:
    alpha = int(case["alpha"], 16)
    public = setup(group, alpha)
    key = keygen(group, alpha, tuple(case["attributes"]), int(case["r"], 16))
    header, wrapping_key = encapsulate(
        public,
        parse(case["policy"]),
        context=bytes.fromhex(case["context"]),
        random=lambda count: bytes.fromhex(case["seed"])[:count],
    )

    assert bytes(public).hex() == case["public_key"]
    assert bytes(key).hex() == case["attribute_key"]
    assert header.hex() == case["header"]
    assert wrapping_key.hex() == case["wrapping_key"]


@pytest.mark.parametrize("case", VECTORS["good"], ids=lambda case: case["name"])
def test_the_vectors_open(group: Group, case: dict[str, str]) -> None:
    public = PublicKey.from_bytes(group, bytes.fromhex(case["public_key"]))
    key = AttributeKey.from_bytes(group, bytes.fromhex(case["attribute_key"]))

    wrapping_key = decapsulate(
        public, key, bytes.fromhex(case["header"]), context=bytes.fromhex(case["context"])
    )

    assert wrapping_key.hex() == case["wrapping_key"]


@pytest.mark.parametrize("case", VECTORS["bad"], ids=lambda case: case["name"])
def test_bad_vectors_fail_with_one_text(group: Group, case: dict[str, str]) -> None:
    good = VECTORS["good"][1]
    public = PublicKey.from_bytes(group, bytes.fromhex(good["public_key"]))
    key = AttributeKey.from_bytes(group, bytes.fromhex(good["attribute_key"]))

    with pytest.raises(ProtocolError) as caught:
        decapsulate(
            public, key, bytes.fromhex(case["header"]), context=bytes.fromhex(case["context"])
        )

    assert str(caught.value) == REFUSAL
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_header_opens_for_every_key_that_satisfies_its_policy(fast: Group) -> None:
    header, wrapping_key = sealed(fast)

    assert len(wrapping_key) == KEY_BYTES
    assert opened(fast, header) == wrapping_key
    assert opened(fast, header, ("site:de-a", "epoch:2026-11", "duo:hmb")) == wrapping_key
    assert opened(fast, header, (*ATTRIBUTES, "duo:hmb", "role:epi")) == wrapping_key


def test_a_header_has_the_stated_length(fast: Group) -> None:
    canonical = str(parse(POLICY))
    header, _ = sealed(fast)

    assert len(header) == 134 + len(canonical) + 96 + 48 * 4


@pytest.mark.parametrize("missing", ATTRIBUTES)
def test_a_key_that_lacks_an_attribute_opens_nothing(fast: Group, missing: str) -> None:
    header, _ = sealed(fast)
    rest = tuple(attribute for attribute in ATTRIBUTES if attribute != missing)

    with pytest.raises(ProtocolError, match=REFUSAL):
        opened(fast, header, rest)


def test_sealing_twice_gives_other_headers_and_keys(fast: Group) -> None:
    first, second = sealed(fast), sealed(fast)

    assert first[0] != second[0]
    assert first[1] != second[1]


@pytest.mark.parametrize("context", [b"", b"de-a|2026-12", CONTEXT + b"\0", CONTEXT[:-1]])
def test_a_header_opens_in_its_own_context_alone(fast: Group, context: bytes) -> None:
    header, _ = sealed(fast)
    key = keygen(fast, ALPHA, ATTRIBUTES, scalar())

    with pytest.raises(ProtocolError, match=REFUSAL):
        decapsulate(setup(fast, ALPHA), key, header, context=context)


def test_one_seed_in_two_contexts_gives_unrelated_headers_and_keys(fast: Group) -> None:
    public, seed = setup(fast, ALPHA), secrets.token_bytes(32)
    one, two = (
        encapsulate(public, parse(POLICY), context=context, random=lambda _: seed)
        for context in (b"a", b"b")
    )

    assert one[0][-300:] != two[0][-300:]
    assert one[1] != two[1]


def test_policy_and_context_do_not_run_into_each_other(fast: Group) -> None:
    public, seed = setup(fast, ALPHA), secrets.token_bytes(32)
    keys = {
        encapsulate(public, parse(policy), context=context, random=lambda _: seed)[1]
        for policy, context in [("a:xy", b"z"), ("a:x", b"yz"), ("a:xyz", b"")]
    }

    assert len(keys) == 3


def test_any_flipped_bit_closes_a_header(fast: Group) -> None:
    header, _ = sealed(fast, "or(and(a:x,b:1),and(a:x,b:2))")
    public = setup(fast, ALPHA)
    key = keygen(fast, ALPHA, ("a:x", "b:1", "b:2"), scalar())

    for place in range(0, 8 * len(header), 7):  # every byte, and each of its bits in turn
        changed = (int.from_bytes(header) ^ 1 << place).to_bytes(len(header))
        with pytest.raises(ProtocolError, match=REFUSAL):
            decapsulate(public, key, changed, context=CONTEXT)


def test_a_header_of_any_length_is_refused_in_short_time(fast: Group) -> None:
    header, _ = sealed(fast)

    for length in (0, 3, 4, 31, 32, 36, 37, len(header) - 1, len(header) + 1):
        with pytest.raises(ProtocolError, match=REFUSAL):
            opened(fast, (header + bytes(40))[:length])
    for huge in (header + bytes(MAX_HEADER_BYTES), b"UAH1" + b"(" * 10_000_000):
        with pytest.raises(ProtocolError, match=REFUSAL):
            opened(fast, huge)


def test_a_policy_at_every_limit_is_sealed_and_opened(fast: Group) -> None:
    many = ",".join(f"and(a:{i % 16},b:{i})" for i in range(30))
    policy = f"or({many},and(c:0,c:1,c:2,c:3))"
    header, wrapping_key = sealed(fast, policy)

    assert len(parse(policy).rows) == 64
    assert len(header) <= MAX_HEADER_BYTES
    assert opened(fast, header, ("a:13", "b:29")) == wrapping_key
    with pytest.raises(ProtocolError, match=REFUSAL):
        opened(fast, header, ("a:12", "b:29"))


def test_tables_change_no_header_and_no_key(fast: Group) -> None:
    seed = secrets.token_bytes(32)
    public = setup(fast, ALPHA)
    prepared = public.prepare(ATTRIBUTES)

    made = [
        encapsulate(each, parse(POLICY), context=CONTEXT, random=lambda _: seed)
        for each in (public, prepared)
    ]

    assert made[0] == made[1]
    key = keygen(fast, ALPHA, ATTRIBUTES, scalar())
    assert decapsulate(prepared, key, made[0][0], context=CONTEXT) == made[0][1]
