"""Story: a dealer tells one member one thing and the others another.

Each dealing fits the sub-shares that go with it, so no member has anything to complain of. Had
nobody compared, members would hold shares of two different keys. Reports say which dealings were
seen; they differ, and nothing comes out. When members pass on what they hold, the two signatures of
one dealer convict it. The same happens to a member that reports, or confirms, two things.
"""

import secrets
from dataclasses import replace

import pytest
from ceremonies import NAMES, Table, generation

from upcare_mpc.abe.ceremony import Kind
from upcare_mpc.abe.groups import default_group
from upcare_mpc.abe.threshold import conclude, deal_in, report
from upcare_mpc.errors import ProtocolError, SessionError

GROUP = default_group()


def two_faced() -> Table:
    """de-c deals once to de-a, and once to de-b and itself."""
    table = Table(generation(GROUP))
    table.deal()
    for dealer in ("de-a", "de-b"):
        table.tell(table.dealings[dealer])
    other, sub_shares = deal_in(table.ceremony, "de-c", None, secrets.token_bytes)
    table.tell(table.dealings["de-c"], "de-b", "de-c")
    table.tell(table.signed("de-c", Kind.DEALING, other), "de-a")
    table.send_sub_share("de-c", "de-a", sub_shares["de-a"])
    return table


def test_every_member_is_content_and_no_outcome_is_reached() -> None:
    table = two_faced()
    bodies = {
        member: report(table.transcripts[member], member, table.sub_shares[member])
        for member in NAMES[:3]
    }
    assert all(len(body) == 4 + 4 + 3 * 32 for body in bodies.values())  # no complaint

    for member, body in bodies.items():
        table.tell(table.signed(member, Kind.REPORT, body))

    with pytest.raises(ProtocolError, match="de-b holds other dealings than this transcript"):
        conclude(table.transcripts["de-a"])
    with pytest.raises(ProtocolError, match="de-a holds other dealings than this transcript"):
        conclude(table.transcripts["de-b"])


def test_passed_on_the_two_dealings_convict_their_dealer() -> None:
    table = two_faced()

    convicted = []
    for message in table.transcripts["de-b"].messages():
        try:
            table.transcripts["de-a"].add(message)
        except ProtocolError as refused:
            convicted.append(str(refused))

    assert convicted == ["de-c signed two different messages of one ceremony, each a dealing"]


def test_the_member_that_was_told_something_else_is_not_convicted_for_its_complaint() -> None:
    # de-a is told another dealing, and given the sub-share of the one that the others hold. It
    # shows the sub-share, rightly; to the others it fits.
    table = Table(generation(GROUP))
    table.deal()
    for dealer in ("de-a", "de-b"):
        table.tell(table.dealings[dealer])
    other, _ = deal_in(table.ceremony, "de-c", None, secrets.token_bytes)
    table.tell(table.dealings["de-c"], "de-b", "de-c")
    table.tell(table.signed("de-c", Kind.DEALING, other), "de-a")

    table.tell_reports()

    with pytest.raises(ProtocolError, match="de-a holds other dealings than this transcript"):
        conclude(table.transcripts["de-b"])


def test_a_dealer_is_not_convicted_by_what_another_makes_up() -> None:
    table = two_faced()
    made_up = table.signed("de-a", Kind.DEALING, b"made up")

    with pytest.raises(ProtocolError, match="de-b has not signed this"):
        table.transcripts["de-a"].add(replace(made_up, sender="de-b"))


@pytest.mark.parametrize("kind", [Kind.REPORT, Kind.CONFIRMATION])
def test_two_reports_or_confirmations_convict_as_well(kind: Kind) -> None:
    table = Table(generation(GROUP))
    transcript = table.transcripts["de-a"]
    transcript.add(table.signed("de-c", kind, b"one"))

    with pytest.raises(
        ProtocolError, match=f"de-c signed two different messages .* each a {kind.value}"
    ):
        transcript.add(table.signed("de-c", kind, b"two"))


def test_telling_each_what_it_wants_to_hear_does_not_help() -> None:
    # The dealer reports to each victim the dealings of that victim, and holds back the other's
    # report. It cannot make that one itself, and without it there is no outcome.
    table = two_faced()
    for victim in ("de-a", "de-b"):
        body = report(table.transcripts[victim], victim, table.sub_shares[victim])
        table.tell(table.signed(victim, Kind.REPORT, body), victim)
        table.tell(table.signed("de-c", Kind.REPORT, body), victim)

    with pytest.raises(SessionError, match="no report of de-b"):
        conclude(table.transcripts["de-a"])
    with pytest.raises(SessionError, match="no report of de-a"):
        conclude(table.transcripts["de-b"])
