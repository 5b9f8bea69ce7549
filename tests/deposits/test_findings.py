"""What the holders found, and the set that follows: everybody works out the same or nothing."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_papers import HOLDERS, collection, findings, verify

from upcare_mpc.deposits.findings import Findings, checkers_of, freeze, list_digest
from upcare_mpc.errors import ProtocolError

MANY = ("r-0", "r-1", "r-2", "r-3", "r-4", "r-5", "r-6")


@given(st.integers(0, 10_000), st.integers(3, 7), st.integers(1, 3))
def test_every_deposit_is_checked_by_t_plus_one_different_holders(
    place: int, holders: int, threshold: int
) -> None:
    threshold = min(threshold, (holders - 1) // 2)
    checkers = checkers_of(place, MANY[:holders], threshold)
    assert len(set(checkers)) == threshold + 1


def test_the_load_is_shared() -> None:
    work = [name for place in range(700) for name in checkers_of(place, MANY, 3)]
    assert {work.count(name) for name in MANY} == {400}


def test_the_frozen_set_follows_from_the_findings_in_any_order() -> None:
    wanted = collection()
    said = [
        findings(wanted, "de-a", refused={0: "proof"}),
        findings(wanted, "de-b", registries={1: "fr-a"}),
        findings(wanted, "de-c", registries={1: "fr-a"}),
    ]
    read = [Findings.from_canonical(f.canonical(), f.signature) for f in said]

    frozen = freeze(wanted, read, verify)

    assert frozen.accepted == (1, 2, 3, 4, 5)
    assert frozen.refused == {0: "proof"}
    assert frozen.registries == {1: "fr-a"}
    assert freeze(wanted, read[::-1], verify).digest == frozen.digest


def test_what_one_of_the_checkers_refuses_does_not_enter() -> None:
    """Place 0 is checked by de-a and de-b; one of them is enough to keep it out."""
    wanted = collection()
    said = [findings(wanted, name) for name in HOLDERS]
    said[1] = findings(wanted, "de-b", refused={0: "submitter"})
    assert freeze(wanted, said, verify).refused == {0: "submitter"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"deposits": bytes(32)}, "do not have the same deposits"),
        ({"count": 5}, "do not have the same deposits"),
        ({"collection": bytes(32)}, "do not have the same deposits"),
        ({"present": ("de-b", "de-c")}, "do not have the same deposits"),
        ({"refused": {2: "proof"}}, "did not check"),  # de-c and de-a check it
        ({"refused": {6: "proof"}}, "did not check"),
        ({"refused": {-1: "proof"}}, "did not check"),
        ({"refused": {0: "taste"}}, "did not check"),
        ({"registries": {0: "de-a"}}, "did not check"),  # deposits nothing here
        ({"registries": {0: "fr-a"}}, "do not say the same"),  # de-a says nothing of it
    ],
)
def test_findings_that_do_not_fit_freeze_nothing(changed: dict[str, Any], words: str) -> None:
    wanted = collection()
    said = [findings(wanted, name) for name in HOLDERS]
    said[1] = findings(wanted, "de-b", **changed)
    with pytest.raises(ProtocolError, match=words):
        freeze(wanted, said, verify)


def test_a_registry_has_one_table() -> None:
    wanted = collection()
    both = {0: "fr-a", 3: "fr-a"}
    said = [findings(wanted, name, registries=both) for name in ("de-a", "de-b")]
    with pytest.raises(ProtocolError, match="one table"):
        freeze(wanted, [*said, findings(wanted, "de-c")], verify)


def test_what_is_not_signed_freezes_nothing() -> None:
    wanted = collection()
    said = [findings(wanted, name) for name in HOLDERS]
    said[2] = replace(said[2], refused={2: "proof"})
    with pytest.raises(ProtocolError, match="de-c did not sign"):
        freeze(wanted, said, verify)


@pytest.mark.parametrize("names", [(), ("de-a",), ("de-a", "de-b"), (*HOLDERS, "de-c")])
def test_it_wants_every_holder_present_once(names: tuple[str, ...]) -> None:
    wanted = collection()
    with pytest.raises(ProtocolError, match="every holder present"):
        freeze(wanted, [findings(wanted, name) for name in names], verify)


def test_too_few_holders_freeze_nothing() -> None:
    wanted = collection()
    said = [findings(wanted, name, present=("de-a", "de-b")) for name in ("de-a", "de-b")]
    with pytest.raises(ProtocolError, match="at least 2t"):
        freeze(wanted, said, verify)


def test_an_order_of_holders_of_its_own_is_refused() -> None:
    """It would share the checks out anew."""
    wanted = collection()
    said = [findings(wanted, name, present=HOLDERS[::-1]) for name in HOLDERS]
    with pytest.raises(ProtocolError, match="in their order"):
        freeze(wanted, said, verify)


def test_the_list_holds_every_deposit_in_its_place() -> None:
    one, other = b"\1" * 32, b"\2" * 32
    digests = [
        list_digest(bytes(32), listed)
        for listed in ([], [one], [one, other], [other, one], [one, one])
    ]
    assert len({*digests, list_digest(one, [one])}) == 6


@pytest.mark.parametrize("bad", [b"", b"{}", b"[1]", b'{"version":1}', b"[" * 100_000])
def test_what_is_not_findings_is_refused(bad: bytes) -> None:
    with pytest.raises(ProtocolError):
        Findings.from_canonical(bad, b"")


def test_a_share_that_does_not_open_is_stated_by_whomever_it_is_sealed_to() -> None:
    """Place 1 is checked by de-b and de-c; the share that is de-a's only de-a can open."""
    sealed = collection(envelope="sealed")
    said = [findings(sealed, name) for name in HOLDERS]
    said[0] = findings(sealed, "de-a", refused={1: "share"})
    assert freeze(sealed, said, verify).refused == {1: "share"}

    in_rlwe = collection()
    said = [findings(in_rlwe, name) for name in HOLDERS]
    said[0] = findings(in_rlwe, "de-a", refused={1: "share"})
    with pytest.raises(ProtocolError, match="de-a speaks of a deposit that it did not check"):
        freeze(in_rlwe, said, verify)


def test_of_several_reasons_the_first_counts_whoever_states_it() -> None:
    """So the set does not depend on which of the holders are present."""
    sealed = collection(envelope="sealed")
    for whose in (("share", "repeated", "submitter"), ("share", "submitter", "repeated")):
        said = [
            findings(sealed, name, refused={1: reason})
            for name, reason in zip(HOLDERS, whose, strict=True)
        ]
        assert freeze(sealed, said, verify).refused == {1: "submitter"}
