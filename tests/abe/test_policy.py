"""A policy has a canonical text of the same meaning; anything else is refused with its place."""

import string
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import subsets, tree

from upcare_mpc.abe.policy import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_ROWS,
    MAX_USES,
    Gate,
    check_attribute,
    parse,
)
from upcare_mpc.errors import InputError


def refusal(text: str) -> str:
    """Why a text is refused, or nothing."""
    try:
        parse(text)
    except InputError as error:
        return str(error)
    return ""


def test_a_policy_reads_as_it_is_meant() -> None:
    policy = parse("and(site:de-a, epoch:2026-11, atleast(2, duo:hmb, ds:c50, use:non-commercial))")

    assert str(policy) == (
        "and(atleast(2,ds:c50,duo:hmb,use:non-commercial),epoch:2026-11,site:de-a)"
    )
    assert policy.rows == (
        "ds:c50",
        "duo:hmb",
        "use:non-commercial",
        "epoch:2026-11",
        "site:de-a",
    )
    enough = frozenset({"site:de-a", "epoch:2026-11", "ds:c50", "duo:hmb"})
    assert policy.holds_for(enough)
    assert not any(policy.holds_for(enough - {attribute}) for attribute in enough)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("a:x", "a:x"),
        ("  a:x ", "a:x"),
        ("and(a:x)", "a:x"),
        ("or(and(atleast(1,a:x)))", "a:x"),
        ("or(b:x,a:x)", "or(a:x,b:x)"),
        ("and(a:x,a:x)", "a:x"),
        ("and(x:x,and(y:y,z:z))", "and(x:x,y:y,z:z)"),
        ("or(or(x:x,y:y),z:z)", "or(x:x,y:y,z:z)"),
        ("and(a:x,or(b:x,b:x))", "and(a:x,b:x)"),
        ("and(a:x,or(b:x,c:x))", "and(a:x,or(b:x,c:x))"),
        ("atleast(1,b:x,a:x)", "or(a:x,b:x)"),
        ("atleast(2,b:x,a:x)", "and(a:x,b:x)"),
        ("atleast(3,a:x,b:x,and(c:x,d:x))", "and(a:x,b:x,c:x,d:x)"),
        ("atleast(2,a:x,b:x,and(c:x,d:x))", "atleast(2,a:x,and(c:x,d:x),b:x)"),
        ("atleast(2,a:x,b:x,atleast(2,a:x,b:x,c:x))", "atleast(2,a:x,atleast(2,a:x,b:x,c:x),b:x)"),
        ("or(and(a:x,b:y),and(b:y,a:x))", "and(a:x,b:y)"),
        ("and:x", "and:x"),
        ("or(or:1,atleast:2)", "or(atleast:2,or:1)"),
    ],
)
def test_texts_of_one_shape_have_one_canonical_text(written: str, canonical: str) -> None:
    assert str(parse(written)) == canonical
    assert str(parse(canonical)) == canonical


def test_nested_gates_keep_their_meaning_when_they_are_dissolved() -> None:
    # Two of three would be a silent weakening of "all of three".
    policy = parse("and(a:x,and(a:y,b:x))")

    assert policy.root == Gate(3, ("a:x", "a:y", "b:x"))
    assert not policy.holds_for(frozenset({"a:x", "a:y"}))


def test_the_canonical_text_means_what_was_written_and_is_its_own_canonical_text() -> None:
    random = Random(5)
    for _ in range(4000):
        written = tree(random)
        if "distinct" in refusal(written.text):  # the one reason these trees give
            continue
        policy = parse(written.text)

        assert parse(str(policy)) == policy
        assert str(parse(str(policy))) == str(policy)
        assert " " not in str(policy)
        for held in subsets(frozenset(policy.rows)):
            assert policy.holds_for(held) == written.holds(held), (written.text, held)


def test_the_order_of_children_and_spaces_do_not_matter() -> None:
    assert str(parse("or( b:x , and(a:y,a:x) )")) == str(parse("or(and(a:x,a:y),b:x)"))


def test_uses_count_the_rows_of_one_attribute() -> None:
    policy = parse("or(and(a:x,b:1),and(a:x,b:2),and(a:y,b:1))")

    assert policy.rows == ("a:x", "b:1", "a:x", "b:2", "a:y", "b:1")
    assert policy.uses == (0, 0, 1, 0, 0, 1)


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("", 1, "got the end"),
        ("    ", 5, "got the end"),
        ("a", 1, "namespace:value expected, got 'a'"),
        ("and", 4, "'(' expected, got the end"),
        ("and(", 5, "got the end"),
        ("and()", 5, "got ')'"),
        ("and(a:x", 8, "',' or ')' expected, got the end"),
        ("and(a:x,)", 9, "got ')'"),
        ("and(a:x b:x)", 9, "',' or ')' expected, got 'b:x'"),
        ("and(a:x))", 9, "the end expected, got ')'"),
        ("a:x and b:x", 5, "the end expected, got 'and'"),
        ("(a:x)", 1, "got '('"),
        ("xor(a:x,b:x)", 1, "got 'xor'"),
        ("not(a:x)", 1, "got 'not'"),
        ("A:x", 1, "U+0041"),
        ("and(a:x,B:x)", 9, "U+0042"),
        ("and(a:x,b:X)", 11, "U+0058"),
        ("a:x\n", 4, "U+000A"),
        ("and(a:x,\tb:x)", 9, "U+0009"),
        ("a:x\0", 4, "U+0000"),
        ("\u0430:x", 1, "U+0430"),  # a Cyrillic a
        ("a:\u2179", 3, "U+2179"),  # a Roman ten
        ("a:x\u200b", 4, "U+200B"),
        ("a:\u0301x", 3, "U+0301"),
        ("and(a:x\uff0cb:x)", 8, "U+FF0C"),
        ("a_b:x", 2, "U+005F"),
        ("a:x_1", 4, "U+005F"),
        ("a:x!", 4, "U+0021"),
        ("a:x<5", 4, "U+003C"),
        ("a:b:c", 1, "got 'a:b:c'"),
        ("a:", 1, "got 'a:'"),
        (":x", 1, "got ':x'"),
        ("1a:x", 1, "got '1a:x'"),
        ("a:-x", 1, "got 'a:-x'"),
        ("a" * 17 + ":x", 1, "namespace:value"),
        ("a:" + "x" * 64, 1, "namespace:value"),
        ("atleast(a:x,b:x)", 9, "a number from 1 to 99 expected, got 'a:x'"),
        ("atleast(0,a:x)", 9, "got '0'"),
        ("atleast(02,a:x,b:x)", 9, "got '02'"),
        ("atleast(-1,a:x)", 9, "got '-1'"),
        ("atleast(2)", 10, "',' expected, got ')'"),
        ("atleast(3,a:x,b:x)", 9, "3 of 2 cannot hold"),
        ("and(b:x,atleast(100,a:x))", 17, "got '100'"),
        ("and(b:x,atleast(2,a:x,a:x,b:x))", 9, "children of atleast() are distinct"),
        ("atleast(2,and(a:x,b:x),and(b:x,a:x),c:x)", 1, "distinct"),
        ("or(a:x,a:x,a:x,a:x,a:x)", 20, "a:x is written more than 4 times"),
        ("and(" * 7 + "a:x" + ")" * 7, 25, "gates are at most 6 deep"),
        ("and(" * 2000, 25, "gates are at most 6 deep"),
        ("or(" + ",".join(f"a:{i:03}" for i in range(65)) + ")", 388, "at most 64 attributes"),
    ],
)
def test_what_is_no_policy_is_refused_with_its_place(text: str, place: int, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)

    assert str(caught.value).startswith(f"policy, character {place}: ")
    assert reason in str(caught.value)
    assert str(caught.value).isascii()


def test_a_text_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(InputError, match="at most 8192 characters are read, this one has 8193"):
        parse("(" * (MAX_CHARACTERS + 1))


def test_what_reaches_every_limit_is_accepted() -> None:
    wide = parse(f"or({','.join(f'a:{i % 16}' for i in range(MAX_ROWS))})")
    deep = parse("or(and(" * (MAX_DEPTH // 2) + "a:x" + ",a:y),a:1)" * (MAX_DEPTH // 2))
    long = parse("a" * 16 + ":" + "x" * 63)

    assert len(wide.rows) == MAX_ROWS // MAX_USES  # written 64 times, 4 times each
    assert deep.holds_for(frozenset({"a:1"}))
    assert len(str(long)) == 80


def test_sixty_four_rows_of_sixteen_attributes_are_accepted() -> None:
    rows = ",".join(f"and(a:{i % 16},b:{i})" for i in range(32))

    policy = parse(f"or({rows})")

    assert len(policy.rows) == 64
    assert max(policy.uses) == 1


@given(st.text(alphabet=string.ascii_lowercase[:3] + "ndorleast123:,() \u0430A_", max_size=60))
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    refused = refusal(text)

    if refused:
        assert "policy, character " in refused
    else:
        assert parse(str(parse(text))) == parse(text)


@given(st.text(max_size=100) | st.from_regex(r"[a-z]{1,3}:[a-z0-9.+-]{1,4}"))
def test_an_attribute_is_one_that_a_policy_can_name(text: str) -> None:
    refused = refusal(text)

    if not refused and text == str(parse(text)) and "(" not in text:
        assert check_attribute(text) == text
    else:
        with pytest.raises(InputError):
            check_attribute(text)


@pytest.mark.parametrize("text", ["a:x\n", "a:x ", "", "a", "A:x", "a:x,b:x", "\u0430:x"])
def test_what_is_no_attribute_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="written namespace:value, got"):
        check_attribute(text)
