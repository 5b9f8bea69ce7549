"""Registries make a key that none of them has, refresh it, and hand it over."""

import secrets
from dataclasses import replace
from itertools import combinations

import pytest
from ceremonies import NAMES, Shares, Table, generation, handover, run

from upcare_mpc.abe.ceremony import Kind, Transcript
from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import ORDER, default_group
from upcare_mpc.abe.kem import decapsulate, encapsulate
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.abe.policy import parse
from upcare_mpc.abe.scheme import keygen
from upcare_mpc.abe.threshold import conclude, deal_in, report
from upcare_mpc.errors import ProtocolError, SessionError

GROUP = default_group()


def master(committee: Committee, shares: Shares, *names: str) -> int:
    """What the shares of those named come to."""
    places = [committee.place(name) for name in names]
    parts = (shares[name].master for name in names)
    return sum(w * part for w, part in zip(lagrange(places), parts, strict=True)) % ORDER


def opens(committee: Committee, alpha: int) -> bool:
    """Whether alpha is the secret behind what is sealed under the public key."""
    header, wrapping_key = encapsulate(
        committee.public, parse("a:x"), context=b"", random=secrets.token_bytes
    )
    key = keygen(committee.group, alpha, ("a:x",), 5)
    try:
        return decapsulate(committee.public, key, header, context=b"") == wrapping_key
    except ProtocolError:
        return False


@pytest.mark.parametrize("members", [3, 4, 5, 7])
def test_any_quorum_holds_the_secret_of_the_public_key_and_fewer_do_not(members: int) -> None:
    committee, shares = run(generation(GROUP, NAMES[:members]))
    quorum = committee.threshold + 1
    expected = committee.public.element

    for names in combinations(committee.members, quorum):
        assert GROUP.g2 * master(committee, shares, *names) == expected
    for names in combinations(committee.members, quorum - 1):
        assert GROUP.g2 * master(committee, shares, *names) != expected
    assert opens(committee, master(committee, shares, *committee.members[:quorum]))


def test_every_participant_and_any_auditor_come_to_the_same_outcome() -> None:
    table = Table(generation(GROUP))
    table.deal()
    table.tell_dealings()
    table.tell_reports()

    outcomes = list(table.outcomes().values())
    auditor = Transcript(table.ceremony, table.transcripts["de-a"]._verify)
    for message in reversed(table.transcripts["de-b"].messages()):
        auditor.add(message)
    outcomes.append(conclude(auditor))

    assert len({outcome.confirmation for outcome in outcomes}) == 1
    assert len({bytes(outcome.committee) for outcome in outcomes}) == 1
    assert not any(outcome.disqualified for outcome in outcomes)


def test_two_ceremonies_make_two_keys() -> None:
    one, _ = run(generation(GROUP))
    other, _ = run(generation(GROUP))

    assert one.public.element != other.public.element


@pytest.mark.parametrize(
    ("members", "dealers", "threshold"),
    [
        (NAMES[:5], NAMES[:5], 2),  # a refresh by all
        (NAMES[:5], NAMES[1:4], 2),  # by just enough
        (NAMES[:3], NAMES[:4], 1),  # a smaller committee
        (NAMES, NAMES[:5], 3),  # a larger one
        (NAMES[4:], ("de-a", "de-c", "fr-b"), 1),  # others, with one in both
    ],
)
def test_handing_over_keeps_the_public_key(
    members: tuple[str, ...], dealers: tuple[str, ...], threshold: int
) -> None:
    old, old_shares = run(generation(GROUP, NAMES[:5]))

    new, new_shares = run(handover(old, members, dealers, threshold), old_shares)

    assert new.public.element == old.public.element
    assert (new.generation, new.members, new.threshold) == (2, members, threshold)
    quorum = new.members[-threshold - 1 :]
    assert opens(new, master(new, new_shares, *quorum))
    assert not opens(new, master(new, new_shares, *quorum[1:]))


def test_nothing_but_the_secret_stays_as_it_was() -> None:
    old, old_shares = run(generation(GROUP, NAMES[:5]))
    new, new_shares = run(handover(old), old_shares)

    assert old.commitments[0] == new.commitments[0]
    assert not set(old.commitments[1:]) & set(new.commitments[1:])
    assert not set(old.bindings) & set(new.bindings)
    for name in old.members:
        assert old_shares[name].master != new_shares[name].master
        assert old_shares[name].binding != new_shares[name].binding
        assert old_shares[name].seed != new_shares[name].seed


def test_a_key_is_handed_on_again_and_again() -> None:
    first, shares = run(generation(GROUP))
    committee = first
    for members in (NAMES[:5], NAMES[2:], NAMES[4:]):
        committee, shares = run(handover(committee, members), shares)

    assert committee.generation == 4
    assert committee.public.element == first.public.element
    assert opens(committee, master(committee, shares, "fr-b", "lu-a"))


def test_a_sub_share_that_has_not_come_stops_a_report_by_name() -> None:
    table = Table(generation(GROUP))
    table.deal()
    table.tell_dealings()
    del table.sub_shares["de-b"]["de-c"]

    with pytest.raises(SessionError, match="no sub-share of de-c for de-b"):
        report(table.transcripts["de-b"], "de-b", table.sub_shares["de-b"])


@pytest.mark.parametrize("silent", NAMES[:3])
def test_whoever_is_silent_stops_the_ceremony_by_name(silent: str) -> None:
    table = Table(generation(GROUP))
    table.deal()
    for dealer, message in table.dealings.items():
        if dealer != silent:
            table.tell(message)
    transcript = table.transcripts["de-a"]
    with pytest.raises(SessionError, match=f"no dealing of {silent}"):
        report(transcript, "de-a", table.sub_shares["de-a"])

    table.tell(table.dealings[silent])
    for member in table.ceremony.members:
        if member != silent:
            body = report(table.transcripts[member], member, table.sub_shares[member])
            table.tell(table.signed(member, Kind.REPORT, body))
    with pytest.raises(SessionError, match=f"no report of {silent}"):
        conclude(transcript)

    body = report(table.transcripts[silent], silent, table.sub_shares[silent])
    table.tell(table.signed(silent, Kind.REPORT, body))
    outcome = conclude(transcript)
    for name in table.ceremony.participants:
        if name != silent:
            table.tell(table.signed(name, Kind.CONFIRMATION, outcome.confirmation))
    with pytest.raises(SessionError, match=f"no confirmation of {silent}"):
        outcome.check_confirmed(transcript)


def test_who_confirms_another_outcome_is_named() -> None:
    table = Table(generation(GROUP))
    table.deal()
    table.tell_dealings()
    table.tell_reports()
    outcome = table.outcomes()["de-a"]
    for name in ("de-a", "de-b"):
        table.tell(table.signed(name, Kind.CONFIRMATION, outcome.confirmation))
    table.tell(table.signed("de-c", Kind.CONFIRMATION, outcome.confirmation[:-1] + b"?"))

    with pytest.raises(ProtocolError, match="de-c confirms another outcome"):
        outcome.check_confirmed(table.transcripts["de-a"])


def test_with_too_few_dealers_left_there_is_no_outcome() -> None:
    table = Table(generation(GROUP))
    table.deal()
    for dealer in ("de-a", "de-c"):
        table.dealings[dealer] = table.signed(dealer, Kind.DEALING, b"no dealing")
    table.tell_dealings()
    table.tell_reports()

    with pytest.raises(SessionError, match="needs 2 dealers, 1 are left without de-a, de-c"):
        conclude(table.transcripts["de-b"])


def test_a_share_is_dealt_by_its_holder_when_a_committee_hands_over_and_not_else() -> None:
    old, shares = run(generation(GROUP))
    new, new_shares = run(handover(old), shares)
    wrong = [
        (generation(GROUP), "de-a", shares["de-a"]),
        (handover(old), "de-a", None),
        (handover(old), "de-a", shares["de-b"]),
        (handover(old), "de-a", new_shares["de-a"]),
        (handover(new), "de-a", shares["de-a"]),
        (handover(old), "de-a", replace(shares["de-a"], master=5)),
    ]

    for ceremony, dealer, share in wrong:
        with pytest.raises(ProtocolError, match="share"):
            deal_in(ceremony, dealer, share, secrets.token_bytes)


def test_a_machine_that_draws_the_same_bytes_twice_deals_other_polynomials() -> None:
    # Restored from a backup it would prove its share twice with one k, and so give the share away.
    committee, shares = run(generation(GROUP))
    dealings = []
    for share, ceremony in (
        (shares["de-a"], handover(committee)),
        (shares["de-a"], handover(committee)),
        (None, generation(GROUP)),
        (None, generation(GROUP)),
    ):
        body, sub_shares = deal_in(ceremony, "de-a", share, bytes)
        dealings.append((body, *sub_shares.values()))

    one, again, fresh, afresh = (set(dealing) for dealing in dealings)
    assert not one & again
    assert not fresh & afresh
    nonces = []
    for body, *_ in dealings[:2]:
        challenge, response = (int.from_bytes(body[at:][:32]) for at in (-64, -32))
        nonces.append((response - challenge * shares["de-a"].master) % ORDER)
    assert nonces[0] != nonces[1]


def test_two_dealers_that_draw_the_same_bytes_deal_different_polynomials() -> None:
    ceremony = generation(GROUP)

    one, other = (deal_in(ceremony, name, None, bytes) for name in ("de-a", "de-b"))

    assert one[0][4:100] != other[0][4:100]
    assert not set(one[1].values()) & set(other[1].values())


def test_sub_shares_changed_after_the_report_make_no_share() -> None:
    table = Table(generation(GROUP))
    table.deal()
    table.tell_dealings()
    table.tell_reports()
    outcome = conclude(table.transcripts["de-a"])
    mine = table.sub_shares["de-a"]
    swapped = {**mine, "de-b": mine["de-c"]}

    with pytest.raises(ProtocolError, match="the share of de-a is not one of this committee"):
        outcome.share("de-a", swapped, secrets.token_bytes)
