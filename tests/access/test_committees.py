"""From all ceremonies on the board to the committee in force."""

from hall import NAMES, Hall, anchor, committees, proposed

from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.access.committees import chain, fingerprint


def made(members: tuple[str, ...] = NAMES) -> tuple[Hall, Committee, dict[str, Share]]:
    hall = Hall(proposed(members))
    outcome, shares = hall.finish()
    return hall, outcome.committee, shares


def handed_over(
    committee: Committee, shares: dict[str, Share], members: tuple[str, ...] = NAMES
) -> tuple[Hall, Committee, dict[str, Share]]:
    hall = Hall(proposed(members, committee), committee, shares)
    outcome, new = hall.finish()
    return hall, outcome.committee, new


def digests(*found: Committee) -> list[bytes]:
    return [committee.digest for committee in found]


def test_there_is_no_committee_before_there_is_a_key() -> None:
    begun = Hall(proposed())
    begun.sit("de-a")

    assert committees() == []
    assert committees(begun) == []


def test_each_handover_follows_the_one_before_and_the_last_is_in_force() -> None:
    first, one, shares = made()
    second, two, shares = handed_over(one, shares, ("de-a", "de-b", "fr-a"))
    third, three, _ = handed_over(two, shares, ("de-b", "fr-a", "fr-b"))

    found = committees(third, first, second)  # in whatever order

    assert digests(*found) == digests(one, two, three)
    assert [c.generation for c in found] == [1, 2, 3]
    assert {fingerprint(c) for c in found} == {fingerprint(one)}


def test_a_handover_whose_forerunner_is_withheld_is_nothing() -> None:
    first, one, shares = made()
    _, two, shares = handed_over(one, shares)
    third, _, _ = handed_over(two, shares)

    assert digests(*committees(first, third)) == digests(one)


def test_without_a_known_key_the_oldest_counts_and_with_one_that_one() -> None:
    first, one, _ = made()
    rival, two, _ = made(("fr-a", "fr-b", "fr-c"))

    assert digests(*committees(first, rival)) == digests(one)
    assert digests(*committees(rival, first)) == digests(two)
    assert digests(*committees(rival, first, known=fingerprint(one))) == digests(one)
    assert committees(rival, known=fingerprint(one)) == []


def test_of_two_handovers_the_newer_counts() -> None:
    # de-c held back its word on the older one, which was given up; then it gives it.
    first, one, shares = made()
    older, late, _ = handed_over(one, shares)
    newer, two, _ = handed_over(one, shares, ("de-a", "de-b", "fr-a"))

    assert digests(*committees(first, older)) == digests(one, late)
    assert digests(*committees(first, older, newer)) == digests(one, two)


def test_a_ceremony_under_another_name_or_of_another_network_is_passed_over() -> None:
    hall, _, _ = made()
    elsewhere = chain({bytes(32): hall.papers}, anchor())
    another = chain({hall.proposal.topic: hall.papers}, anchor("another"))

    assert elsewhere == []
    assert another == []


def test_the_fingerprint_has_64_digits_and_names_network_and_key() -> None:
    _, one, _ = made()
    _, two, _ = made()

    assert len(fingerprint(one)) == 64
    assert fingerprint(one) != fingerprint(two)
