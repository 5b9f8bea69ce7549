"""One registry and the requests on the board: what it takes in, agrees to, and writes down."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from applications import KEY, NOW, application, filed
from ceremonies import handover, run
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from desks import Cut, Desk, MemoryBoard, committee, policy

from upcare_mpc.access.application import attributes_of
from upcare_mpc.access.papers import Filing, filing_statement, requester_of
from upcare_mpc.authority.requests import check_filing, researcher_name
from upcare_mpc.config import Certified
from upcare_mpc.errors import InputError, RefusedError

Desks = dict[str, Desk]


def asked_for(**changes: Any) -> Filing:
    return filed(committee()[0], application(**changes))


def test_a_request_is_taken_in_once_and_kept(board: MemoryBoard, desks: Desks) -> None:
    digest = board.file(asked_for())

    assert [case.digest for case in desks["de-a"].sync()] == [digest]
    assert [case.digest for case in desks["de-a"].sync()] == [digest]
    del board.topics[digest]  # the platform forgets
    assert desks["de-a"].case(digest).filing.application.project == "p-17"


def test_a_topic_that_the_platform_does_not_show_stops_no_other(
    board: MemoryBoard, desks: Desks
) -> None:
    hidden, shown = board.file(asked_for()), board.file(asked_for(title="Another"))
    desks["de-a"].sync()
    del board.topics[hidden]

    assert desks["de-a"].approve(shown)


def test_requests_are_in_play_until_a_week_after_their_end(
    board: MemoryBoard, desks: Desks
) -> None:
    digest = board.file(asked_for())  # to be issued until 6 December
    late = board.file(asked_for(epoch="2027-01"))

    def in_play(day: date) -> set[bytes]:
        at = datetime.combine(day, NOW.timetz())
        return {case.digest for case in desks["de-a"].sync(time=at)}

    assert in_play(date(2026, 12, 13)) == {digest, late}
    assert in_play(date(2026, 12, 14)) == {late}
    assert in_play(date(2027, 2, 7)) == {late}
    assert in_play(date(2027, 2, 8)) == set()


def test_what_is_not_a_filing_of_this_network_is_passed_over(
    board: MemoryBoard, desks: Desks
) -> None:
    filing = asked_for()
    other = filed(committee()[0], application(), network="elsewhere")
    board.leave(bytes(32), "", "filing", bytes(filing))  # on another's topic
    board.leave(b"\1" * 32, "", "filing", b"rubbish")
    board.leave(b"\2" * 32, "de-b", "approval", b"rubbish")
    board.file(other)

    assert desks["de-a"].sync() == []


def test_an_approval_is_written_down_and_signed(board: MemoryBoard, desks: Desks) -> None:
    digest = board.file(asked_for())

    assert desks["de-a"].approve(digest)
    (entry,) = desks["de-a"].journal("access.approve")
    assert entry.fields()["request"] == digest.hex()
    assert entry.fields()["project"] == "p-17"
    assert set(desks["de-b"].case(digest).topic.approvals) == {"de-a"}


def test_approved_twice_is_approved_once(board: MemoryBoard, desks: Desks) -> None:
    digest = board.file(asked_for())
    desks["de-a"].approve(digest)

    assert not desks["de-a"].approve(digest)
    assert len(desks["de-a"].journal("access.approve")) == 1
    assert len(board.topics[digest]) == 2


def test_an_approval_cut_before_it_was_posted_is_posted_the_next_time(
    board: MemoryBoard, desks: Desks
) -> None:
    digest = board.file(asked_for())
    desks["de-a"].seat.cut = True
    with pytest.raises(Cut):
        desks["de-a"].approve(digest)
    desks["de-a"].seat.cut = False

    assert not desks["de-a"].approve(digest)
    assert len(desks["de-a"].journal("access.approve")) == 1
    assert set(board.read(digest).approvals) == {"de-a"}


def test_a_registry_that_is_no_member_approves_of_a_key_to_its_records(
    board: MemoryBoard, desks: Desks
) -> None:
    digest = board.file(asked_for(registries=("fr-a",)))

    assert desks["fr-a"].approve(digest)
    assert set(board.read(digest).approvals) == {"fr-a"}


def test_a_refusal_is_written_down_and_told(board: MemoryBoard, desks: Desks) -> None:
    digest = board.file(asked_for())
    desks["de-a"].refuse(digest, "the vote is of another project")

    assert board.read(digest).refusals["de-a"].reason == "the vote is of another project"
    (entry,) = desks["de-a"].journal("access.refuse")
    assert entry.fields() == {
        "request": digest.hex(),
        "reason": "the vote is of another project",
    }
    assert desks["de-a"].approve(digest)  # a person may think again


def test_what_was_approved_is_not_refused_afterwards(board: MemoryBoard, desks: Desks) -> None:
    digest = board.file(asked_for())
    desks["de-a"].approve(digest)

    with pytest.raises(RefusedError, match="approved of the request before"):
        desks["de-a"].refuse(digest)
    assert board.read(digest).refusals == {}


def test_a_reason_is_one_line(board: MemoryBoard, desks: Desks) -> None:
    digest = board.file(asked_for())

    with pytest.raises(InputError, match="reason: wanted one line"):
        desks["de-a"].refuse(digest, "two\nlines")
    assert desks["de-a"].journal("access.refuse") == []


def with_attributes(*more: str) -> Filing:
    asked = application()
    wider = tuple(sorted({*attributes_of(asked), *more}))
    return filed(committee()[0], asked, attributes=wider)


def of_a_stranger() -> Filing:
    asked, stranger = application(), Ed25519PrivateKey.generate()
    key = stranger.public_key().public_bytes_raw()
    request = filed(committee()[0], asked, requester=requester_of(key)).request
    signature = stranger.sign(filing_statement(request))
    return Filing(request=request, application=asked, key=key, signature=signature)


REFUSED: list[tuple[Filing, dict[str, Any], str]] = [
    (of_a_stranger(), {}, "the researcher is not known here"),
    (asked_for(), {"purposes": frozenset()}, "does not accept the purpose DUO:0000007"),
    (asked_for(), {"certified": {}}, "does not certify non-commercial"),
    (asked_for(), {"certified": {b"": Certified()}}, "does not certify non-commercial"),
    (
        asked_for(),
        {"certified": {KEY: Certified(claims=frozenset({"non-commercial"}), region="FR")}},
        "does not certify the region DE",
    ),
    (asked_for(claims=frozenset({"not-for-profit"})), {}, "does not certify not-for-profit"),
    (with_attributes("use:poa"), {}, "are not those of the application"),
    (with_attributes("requester:not-for-profit"), {}, "are not those of the application"),
    (with_attributes("disease:c61"), {}, "are not those of the application"),
    (
        filed(committee()[0], application(), not_after=int(NOW.timestamp()) - 1),
        {},
        "no longer valid",
    ),
    (
        filed(committee()[0], application(), not_after=int(NOW.timestamp()) + 40 * 86400),
        {},
        "valid for 31 days at most",
    ),
    (filed(committee()[0], application(), committee=bytes(32)), {}, "another committee"),
    (asked_for(epoch="2026-10"), {}, "the month 2026-10 has ended"),
    (asked_for(epoch="2027-01"), {}, "the month 2027-01 begins after the request ends"),
    (filed(committee()[0], application(), sealing_key=bytes(32)), {}, "no fragment can be sealed"),
]


@pytest.mark.parametrize(
    ("filing", "changes", "reason"), REFUSED, ids=[reason for _, _, reason in REFUSED]
)
def test_is_not_approved(
    board: MemoryBoard, desks: Desks, filing: Filing, changes: dict[str, Any], reason: str
) -> None:
    digest, desk = board.file(filing), desks["de-a"]
    desk.policy = policy(**changes)

    with pytest.raises(RefusedError, match=reason):
        desk.approve(digest)
    with pytest.raises(RefusedError, match=reason):
        check_filing(
            filing,
            registry="de-a",
            policy=desk.policy,
            committee=desk.committee,
            now=NOW.timestamp(),
        )
    assert desk.journal("access.approve") == []
    assert board.read(digest).approvals == {}


def test_a_registry_that_is_not_asked_says_nothing(board: MemoryBoard, desks: Desks) -> None:
    digest = board.file(asked_for())

    with pytest.raises(RefusedError, match="fr-a is not asked"):
        desks["fr-a"].approve(digest)


def test_nothing_stands_against_the_request_that_all_these_differ_from() -> None:
    check_filing(
        asked_for(),
        registry="de-a",
        policy=policy(),
        committee=committee()[0],
        now=NOW.timestamp(),
    )
    assert researcher_name(policy(), KEY) == "ada"
    assert researcher_name(policy(), bytes(32)) is None


def test_what_happened_to_a_key_is_written_once(board: MemoryBoard, desks: Desks) -> None:
    digest = board.file(asked_for())
    for desk in desks.values():
        if desk.name != "fr-a":
            desk.approve(digest)
    desks["de-a"].issue()
    desks["de-a"].sync()
    assert desks["de-a"].journal("access.issued") == []  # one fragment is no key
    desks["de-b"].issue()
    for _ in range(3):
        desks["de-a"].sync(time=NOW + timedelta(days=1))

    (issued,) = desks["de-a"].journal("access.issued")
    assert issued.fields() == {"request": digest.hex(), "authors": ["de-a", "de-b"]}
    approved = desks["de-a"].journal("access.approved")
    assert [entry.fields()["registry"] for entry in approved] == ["de-b", "de-c"]  # not its own
    desks["fr-a"].sync()  # it is not asked
    assert [entry.fields()["authors"] for entry in desks["fr-a"].journal("access.issued")] == [
        ["de-a", "de-b"]
    ]
    assert len(desks["fr-a"].journal("access.approved")) == 3


def test_a_key_issued_right_before_a_handover_is_written_down_after_it(
    board: MemoryBoard, desks: Desks
) -> None:
    digest = board.file(asked_for())
    for name in ("de-a", "de-b"):
        desks[name].approve(digest)
    for name in ("de-a", "de-b"):
        desks[name].issue()
    next_one, _ = run(handover(committee()[0]), committee()[1])
    site = desks["de-b"]
    site.committees = [*site.committees, next_one]
    site.sync()

    (issued,) = site.journal("access.issued")
    assert issued.fields()["authors"] == ["de-a", "de-b"]


def test_fetches_of_its_own_records_are_written_by_edition(
    board: MemoryBoard, desks: Desks
) -> None:
    digest = board.file(asked_for())
    for registry, edition in [("de-a", 3), ("de-b", 9), ("de-a", 3), ("de-a", 4)]:
        word = b'{"edition":%d,"registry":"%s"}' % (edition, registry.encode())
        board.leave(digest, "platform", "fetch", word)
        desks["de-a"].sync()
    board.leave(digest, "de-b", "fetch", b'{"edition":5,"registry":"de-a"}')
    board.leave(digest, "platform", "fetch", b'{"edition":true,"registry":"de-a"}')
    desks["de-a"].sync()

    assert [entry.fields() for entry in desks["de-a"].journal("access.fetched")] == [
        {"request": digest.hex(), "edition": 3},
        {"request": digest.hex(), "edition": 4},
    ]


def test_rubbish_on_a_topic_is_told_and_stops_nobody(board: MemoryBoard, desks: Desks) -> None:
    digest = board.file(asked_for())
    board.leave(digest, "de-b", "approval", b"rubbish")
    board.leave(digest, "de-b", "fragment", b"")
    desks["de-a"].approve(digest)

    topic = desks["de-c"].case(digest).topic
    assert set(topic.approvals) == {"de-a"}
    assert [line.split(" is ")[0] for line in topic.passed_over] == [
        "approval from 'de-b'",
        "fragment from 'de-b'",
    ]


def test_another_filing_on_the_same_topic_changes_nothing(board: MemoryBoard, desks: Desks) -> None:
    filing = asked_for()
    digest = board.file(filing)
    swapped = replace(filing, application=application(title="Another"))
    board.leave(digest, "", "filing", bytes(swapped))

    assert desks["de-a"].case(digest).filing == filing
