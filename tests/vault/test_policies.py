"""What names a group over the months, and which change of it only widens."""

from random import Random

import pytest
from trees import ATTRIBUTES, subsets, tree

from upcare_mpc.abe.policy import parse
from upcare_mpc.errors import InputError
from upcare_mpc.vault.policies import policy_of, terms_of, widens

NOVEMBER = {"registry": "de-a", "epoch": "2026-11"}
ALL = list(subsets(frozenset(ATTRIBUTES)))


@pytest.mark.parametrize("terms", ["", "use:hmb", "and(a:1,b:2)", "or(a:1,and(b:1,b:2))"])
def test_terms_and_policy_give_each_other(terms: str) -> None:
    policy = str(policy_of(terms, **NOVEMBER))

    assert terms_of(policy, **NOVEMBER) == terms
    assert policy_of(terms, registry="de-a", epoch="2026-12") != policy_of(terms, **NOVEMBER)


@pytest.mark.parametrize(
    "policy",
    [
        "use:hmb",
        "site:de-a",
        "and(epoch:2026-11,use:hmb)",
        "and(site:de-a,use:hmb)",
        "and(epoch:2026-11,site:de-b,use:hmb)",
        "and(epoch:2026-12,site:de-a,use:hmb)",
        "or(epoch:2026-11,site:de-a)",
        "or(and(epoch:2026-11,site:de-a),use:hmb)",
        "atleast(2,epoch:2026-11,site:de-a,use:hmb)",
        "and(use:hmb,or(epoch:2026-11,site:de-a))",
        "and(epoch:2026-11,site:de-a,or(epoch:2026-12,use:hmb))",
        "and(epoch:2026-11,site:de-a",
        "AND(epoch:2026-11,site:de-a)",
    ],
)
def test_a_policy_without_registry_and_month_seals_nothing(policy: str) -> None:
    with pytest.raises(InputError):
        terms_of(policy, **NOVEMBER)


@pytest.mark.parametrize("name", ["", "A", "de_a", "de-a ", "d", "x" * 32, "de-a\n", "1a"])
def test_a_registry_that_is_no_attribute_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="wanted a name like de-a"):
        policy_of("use:hmb", registry=name, epoch="2026-11")


@pytest.mark.parametrize("epoch", ["", "2026-13", "2026-00", "2026-1", "26-11", "2026-11\n"])
def test_an_epoch_that_is_no_month_is_refused(epoch: str) -> None:
    with pytest.raises(InputError, match="wanted a month"):
        policy_of("use:hmb", registry="de-a", epoch=epoch)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a:1", "or(a:1,b:1)"),
        ("and(a:1,b:1)", "a:1"),
        ("and(a:1,b:1)", ""),
        ("atleast(2,a:1,b:1,b:2)", "or(a:1,b:1)"),
        ("and(a:1,or(b:1,b:2))", "or(b:2,b:1)"),
        ("or(and(a:1,b:1),and(a:1,b:2))", "and(a:1,or(b:1,b:2))"),
        ("", ""),
    ],
)
def test_a_change_that_widens_is_seen(old: str, new: str) -> None:
    assert widens(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("or(a:1,b:1)", "a:1"),
        ("a:1", "and(a:1,b:1)"),
        ("", "a:1"),
        ("a:1", "b:1"),
        ("or(a:1,b:1)", "atleast(2,a:1,b:1,b:2)"),
        ("or(and(a:1,b:1),b:2)", "and(a:1,or(b:1,b:2))"),
    ],
)
def test_a_change_that_narrows_or_moves_is_not_a_widening(old: str, new: str) -> None:
    assert not widens(old, new)


def drawn(random: Random) -> str:
    """Canonical terms; some trees are no policy, as they ask for one attribute twice."""
    while True:
        try:
            return str(parse(tree(random, leaves=6).text))
        except InputError:
            continue


def test_random_changes_are_widenings_exactly_if_every_set_that_opened_still_opens() -> None:
    random, widened = Random(22), 0
    for _ in range(1500):
        old, new = drawn(random), drawn(random)
        if random.random() < 0.4:  # related ones, or hardly any would widen
            new = old
        if random.random() < 0.5:
            new = str(parse(f"or({new},a:x)"))
        elif random.random() < 0.5:
            old = str(parse(f"and({old},b:y)"))
        before, after = parse(old), parse(new)
        truth = all(after.holds_for(held) for held in ALL if before.holds_for(held))

        assert widens(old, new) is truth
        widened += truth

    assert 300 < widened < 1200


def test_terms_with_too_many_ways_are_never_taken_for_widened() -> None:
    wide = "and(" + ",".join(f"or(a:{i},b:{i})" for i in range(13)) + ")"  # 8192 ways
    less = "and(" + ",".join(f"or(a:{i},b:{i})" for i in range(12)) + ")"  # 4096
    deep = "atleast(16," + ",".join(f"a:{i}" for i in range(32)) + ")"  # 6e8

    assert widens(less, f"or({less},c:1)")
    assert not widens(wide, f"or({wide},c:1)")
    assert not widens(deep, f"or(c:1,{deep})")
    assert not widens(f"or({deep},d:1)", "or(c:1,d:1)")
