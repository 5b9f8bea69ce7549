"""Story: a dealer that gives some members what does not fit, and members that say so falsely.

A sub-share that does not fit its dealing would leave its member without a share, unnoticed until a
key is needed. Every member checks, and shows a bad one to everybody: the dealer has signed it, so
there is nothing to answer. For the same reason nobody can say it of an honest dealer.

In protocols where a complaint is a word alone, the honest dealer answers by publishing the
sub-share; an adversary that keeps messages from arriving then collects sub-shares until it has
t + 1. Here a sub-share that does not arrive stops the ceremony, and none is published.
"""

import secrets
from dataclasses import replace
from hashlib import sha256

import pytest
from ceremonies import NAMES, Table, generation, handover, requested, run

from upcare_mpc.abe.ceremony import Kind, Signed
from upcare_mpc.abe.dealing import SubShare
from upcare_mpc.abe.groups import default_group
from upcare_mpc.abe.issuance import combine, issue
from upcare_mpc.abe.scheme import verify_key
from upcare_mpc.abe.threshold import conclude, deal_in, report
from upcare_mpc.errors import ProtocolError, SessionError
from upcare_mpc.study.packed import pack, unpack

GROUP = default_group()


def dealt(members: int = 5) -> Table:
    table = Table(generation(GROUP, NAMES[:members]))
    table.deal()
    table.tell_dealings()
    return table


def spoilt(message: Signed, half: str = "master") -> bytes:
    sub_share = SubShare.from_bytes(message.body)
    return bytes(replace(sub_share, **{half: getattr(sub_share, half) ^ 1}))


@pytest.mark.parametrize("victims", [("de-a",), ("de-a", "de-b", "fr-a", "fr-b")])
@pytest.mark.parametrize("half", ["master", "binding", "neither"])
def test_a_dealer_of_bad_sub_shares_is_out_and_the_others_make_the_key(
    victims: tuple[str, ...], half: str
) -> None:
    table = dealt()
    for victim in victims:
        body = b"garbage" if half == "neither" else spoilt(table.sub_shares[victim]["de-c"], half)
        table.send_sub_share("de-c", victim, body)

    table.tell_reports()
    outcome, shares = table.finish()

    assert dict(outcome.disqualified) == {"de-c": "signed a sub-share for de-a that does not fit"}
    committee = outcome.committee
    request = requested(committee)
    for names in (NAMES[:3], NAMES[2:5]):  # the dealer itself stays a member
        fragments = [issue(shares[name], committee, request) for name in names]
        key = combine(committee, request, fragments)
        verify_key(GROUP, key, committee.public.element, secrets.token_bytes)


def test_whoever_saw_only_good_sub_shares_concludes_the_same() -> None:
    table = dealt(3)
    table.send_sub_share("de-c", "de-a", spoilt(table.sub_shares["de-a"]["de-c"]))

    table.tell_reports()

    outcomes = table.outcomes()
    assert {tuple(outcome.disqualified) for outcome in outcomes.values()} == {("de-c",)}
    assert len({outcome.confirmation for outcome in outcomes.values()}) == 1


def test_a_disqualified_dealer_cannot_stop_the_rest_by_not_confirming() -> None:
    table = dealt(3)
    table.send_sub_share("de-c", "de-a", spoilt(table.sub_shares["de-a"]["de-c"]))
    table.tell_reports()
    outcome = conclude(table.transcripts["de-a"])
    for name in ("de-a", "de-b"):
        table.tell(table.signed(name, Kind.CONFIRMATION, outcome.confirmation))

    outcome.check_confirmed(table.transcripts["de-a"])


def forged(table: Table, case: str) -> bytes:
    """Evidence of the member fr-b against the honest dealer de-a."""
    good = table.sub_shares["fr-b"]["de-a"]
    other = Table(generation(GROUP, NAMES[:5]))
    other.deal()
    evidence = {
        "good": good,
        "altered": replace(good, body=spoilt(good)),
        "self-signed": replace(
            good, body=spoilt(good), signature=table.signed("fr-b", Kind.REPORT, b"").signature
        ),
        "another member's": table.sub_shares["fr-a"]["de-a"],
        "another ceremony's": other.sub_shares["fr-b"]["de-a"],
        "a dealing": table.dealings["de-a"],
        "nobody's": replace(good, sender="lu-a"),
    }[case]
    return bytes(evidence)


@pytest.mark.parametrize(
    "case",
    [
        "good",
        "altered",
        "self-signed",
        "another member's",
        "another ceremony's",
        "a dealing",
        "nobody's",
    ],
)
def test_a_forged_complaint_convicts_who_makes_it(case: str) -> None:
    table = dealt()
    for member in NAMES[:5]:
        body = report(table.transcripts[member], member, table.sub_shares[member])
        if member == "fr-b":
            body = pack(b"UAR1", *unpack(b"UAR1", body, most=8192), forged(table, case))
        table.tell(table.signed(member, Kind.REPORT, body))

    for name in table.ceremony.participants:
        with pytest.raises(ProtocolError, match="fr-b signed a report that does not hold"):
            conclude(table.transcripts[name])


def test_what_a_member_that_deals_nothing_has_signed_is_no_evidence() -> None:
    committee, shares = run(generation(GROUP))
    table = Table(handover(committee, members=NAMES[2:5]), shares)
    table.deal()
    table.tell_dealings()
    for member in NAMES[2:5]:
        body = report(table.transcripts[member], member, table.sub_shares[member])
        if member == "fr-b":
            own = table.signed("fr-b", Kind.REPORT, body)
            body = pack(b"UAR1", *unpack(b"UAR1", body, most=8192), bytes(own))
        table.tell(table.signed(member, Kind.REPORT, body))

    with pytest.raises(ProtocolError, match="fr-b signed a report that does not hold"):
        conclude(table.transcripts["de-c"])


def test_evidence_counts_whoever_shows_it() -> None:
    table = dealt(3)
    table.send_sub_share("de-c", "de-a", spoilt(table.sub_shares["de-a"]["de-c"]))
    shown = table.sub_shares["de-a"]["de-c"]
    for member in NAMES[:3]:
        body = pack(b"UAR1", b"".join(held(table)), *([bytes(shown)] if member == "de-b" else []))
        table.tell(table.signed(member, Kind.REPORT, body))

    outcome = conclude(table.transcripts["de-b"])

    assert dict(outcome.disqualified) == {"de-c": "signed a sub-share for de-a that does not fit"}


def held(table: Table) -> list[bytes]:
    return [sha256(message.body).digest() for message in table.dealings.values()]


@pytest.mark.parametrize("body", [b"", b"UAR2", b"UAR1", b"UAR1\0\0\0\xff"])
def test_so_does_a_report_that_is_none(body: bytes) -> None:
    table = dealt(3)
    for member in ("de-a", "de-b"):
        good = report(table.transcripts[member], member, table.sub_shares[member])
        table.tell(table.signed(member, Kind.REPORT, good))
    table.tell(table.signed("de-c", Kind.REPORT, body))

    with pytest.raises(ProtocolError, match="de-c signed a report that does not hold"):
        conclude(table.transcripts["de-a"])


def test_a_sub_share_put_in_by_a_stranger_is_passed_over() -> None:
    table = dealt(3)
    good = table.sub_shares["de-a"]["de-b"]
    injected = replace(good, body=spoilt(good))

    with pytest.raises(ProtocolError, match="de-b has not signed this"):
        table.transcripts["de-a"].check(injected)


def test_suppressed_sub_shares_stop_the_ceremony_and_bring_none_to_light() -> None:
    # t members and the network together; with published answers they would now have 2 t.
    table = dealt()
    for member in ("de-a", "de-b"):
        del table.sub_shares[member]["de-c"]

    for member in ("de-a", "de-b"):
        with pytest.raises(SessionError, match=f"no sub-share of de-c for {member}"):
            report(table.transcripts[member], member, table.sub_shares[member])
    good = report(table.transcripts["fr-a"], "fr-a", table.sub_shares["fr-a"])
    assert not any(
        message.body in good
        for received in table.sub_shares.values()
        for message in received.values()
    )


def test_a_member_that_deviates_while_it_hands_over_is_out_and_the_key_stays() -> None:
    committee, shares = run(generation(GROUP, NAMES[:5]))
    table = Table(handover(committee), shares)
    table.deal()
    lying = replace(table.ceremony, previous=None, dealers=NAMES[:5])
    foreign, _ = deal_in(lying, "de-a", None, secrets.token_bytes)
    table.dealings["de-a"] = table.signed("de-a", Kind.DEALING, foreign)
    table.tell_dealings()
    table.send_sub_share("de-c", "fr-b", spoilt(table.sub_shares["fr-b"]["de-c"]))

    table.tell_reports()
    outcome, new_shares = table.finish()

    assert list(outcome.disqualified) == ["de-a", "de-c"]
    assert outcome.committee.public.element == committee.public.element
    request = requested(outcome.committee)
    fragments = [issue(new_shares[name], outcome.committee, request) for name in NAMES[:3]]
    key = combine(outcome.committee, request, fragments)
    verify_key(GROUP, key, committee.public.element, secrets.token_bytes)
