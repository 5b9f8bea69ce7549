"""A fragment leaves once, and only for what this registry and enough others approved of."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from ceremonies import NAMES, NOW, Shares, approvals, generation, handover, requested, run, verify

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import default_group
from upcare_mpc.abe.issuance import Fragment, verify_fragment
from upcare_mpc.abe.release import Releases, Seen, check_randomness
from upcare_mpc.abe.request import Approval, Request
from upcare_mpc.errors import PrivacyError, ProtocolError, RefusedError
from upcare_mpc.journal import GENESIS, Entry, Event, append

GROUP = default_group()


@pytest.fixture(scope="module")
def made() -> tuple[Committee, Shares]:
    return run(generation(GROUP))


class Registry:
    """One registry with its journal."""

    def __init__(self, committee: Committee, shares: Shares, name: str = "de-a") -> None:
        self.committee, self.share, self.name = committee, shares[name], name
        self.entries: list[Entry] = []

    def write(self, event: Event) -> None:
        head = self.entries[-1].head if self.entries else GENESIS
        self.entries.append(append(head, event, time=datetime.fromtimestamp(NOW, UTC)))

    def approve(self, request: Request, now: float = NOW) -> None:
        self.write(Releases.of(self.entries).approve(self.committee, request, now=now))

    def release(self, request: Request, signed: Sequence[Approval], now: float = NOW) -> Fragment:
        fragment, event = Releases.of(self.entries).release(
            self.committee, self.share, request, signed, verify=verify, now=now
        )
        self.write(event)
        return fragment


def test_a_fragment_leaves_after_approval_and_verifies(made: tuple[Committee, Shares]) -> None:
    registry = Registry(*made)
    request = requested(made[0], "duo:hmb")

    registry.approve(request)
    fragment = registry.release(request, approvals(request, "de-a", "de-b"))

    verify_fragment(made[0], request, fragment, secrets.token_bytes)
    assert [entry.kind for entry in registry.entries] == ["access.approve", "access.release"]


def test_the_journal_says_what_was_approved_and_what_left(made: tuple[Committee, Shares]) -> None:
    registry = Registry(*made)
    request = requested(made[0])

    registry.approve(request)
    fragment = registry.release(request, approvals(request, "de-a", "de-b"))

    approved, released = (entry.fields() for entry in registry.entries)
    assert approved == {
        "request": request.digest.hex(),
        "requester": request.requester,
        "project": "p-17",
        "epoch": "2026-11",
        "attributes": list(request.attributes),
    }
    assert released == {
        "request": request.digest.hex(),
        "randomness": fragment.randomness.hex(),
    }


def test_nothing_leaves_without_the_registrys_own_approval(made: tuple[Committee, Shares]) -> None:
    registry = Registry(*made)
    request = requested(made[0])
    registry.approve(requested(made[0]))  # of another one

    with pytest.raises(RefusedError, match="this registry has not approved of the request"):
        registry.release(request, approvals(request, "de-a", "de-b", "de-c"))


def test_nothing_leaves_twice(made: tuple[Committee, Shares]) -> None:
    registry = Registry(*made)
    request = requested(made[0])
    registry.approve(request)
    registry.release(request, approvals(request, "de-a", "de-b"))

    with pytest.raises(RefusedError, match="fragment for the request has left before"):
        registry.release(request, approvals(request, "de-a", "de-b"))
    with pytest.raises(RefusedError, match="has approved of the request before"):
        registry.approve(request)


def test_nothing_leaves_on_t_approvals(made: tuple[Committee, Shares]) -> None:
    registry = Registry(*made)
    request = requested(made[0])
    registry.approve(request)

    with pytest.raises(RefusedError, match="2 members of the committee have to approve, 1 do"):
        registry.release(request, approvals(request, "de-a"))


def test_time_is_looked_at_when_approving_and_when_releasing(
    made: tuple[Committee, Shares],
) -> None:
    registry = Registry(*made)
    request = requested(made[0])
    late = float(request.not_after + 1)
    with pytest.raises(RefusedError, match="no longer valid"):
        registry.approve(request, now=late)

    registry.approve(request)

    with pytest.raises(RefusedError, match="no longer valid"):
        registry.release(request, approvals(request, "de-a", "de-b"), now=late)


def test_after_a_handover_old_requests_are_void(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    registry = Registry(committee, shares)
    request = requested(committee)
    registry.approve(request)
    registry.committee, new_shares = run(handover(committee), shares)
    registry.share = new_shares["de-a"]

    with pytest.raises(RefusedError, match="another network or another committee"):
        registry.release(request, approvals(request, "de-a", "de-b"))


def test_a_seed_that_repeats_itself_is_noticed(made: tuple[Committee, Shares]) -> None:
    # No share does so; the journal is told that another request had this randomness.
    committee, shares = made
    request = requested(committee)
    first = Registry(committee, shares)
    first.approve(request)
    fragment = first.release(request, approvals(request, "de-a", "de-b"))
    before = Releases(
        approved=frozenset({request.digest}), released={bytes(32): fragment.randomness}
    )

    with pytest.raises(PrivacyError, match="would repeat the randomness"):
        before.release(
            committee,
            shares["de-a"],
            request,
            approvals(request, "de-a", "de-b"),
            verify=verify,
            now=NOW,
        )


def test_a_false_approval_stops_a_release(made: tuple[Committee, Shares]) -> None:
    registry = Registry(*made)
    request = requested(made[0])
    registry.approve(request)
    own, other = approvals(request, "de-a", "de-b")

    with pytest.raises(ProtocolError, match="de-c has not signed this"):
        registry.release(request, [own, replace(other, registry="de-c")])


def test_refusals_write_nothing_and_other_entries_are_passed_over(
    made: tuple[Committee, Shares],
) -> None:
    registry = Registry(*made)
    request = requested(made[0])
    registry.write(Event(kind="ledger.spend", body={"request": request.digest.hex()}))
    with pytest.raises(RefusedError):
        registry.release(request, approvals(request, "de-a", "de-b"))

    registry.approve(request)
    registry.release(request, approvals(request, "de-a", "de-b"))

    assert len(registry.entries) == 3


def test_releases_of_all_registries_show_who_used_one_r_twice() -> None:
    one = Seen(registry="de-a", request=b"\1" * 32, randomness=b"\1" * 32)
    two = Seen(registry="de-a", request=b"\2" * 32, randomness=b"\2" * 32)
    other = Seen(registry="de-b", request=b"\1" * 32, randomness=b"\3" * 32)

    check_randomness([one, two, other, one])
    for repeated in (
        replace(two, randomness=one.randomness),
        replace(other, randomness=one.randomness),
    ):
        with pytest.raises(PrivacyError, match=f"de-a and {repeated.registry} have one randomness"):
            check_randomness([one, repeated])


def test_what_a_journal_tells_others_is_what_left(made: tuple[Committee, Shares]) -> None:
    registry = Registry(*made)
    left = []
    for _ in range(3):
        request = requested(made[0])
        registry.approve(request)
        left.append(registry.release(request, approvals(request, *NAMES[:2])))

    seen = Releases.of(registry.entries).seen("de-a")

    assert seen == tuple(
        Seen(registry="de-a", request=each.request, randomness=each.randomness) for each in left
    )
    check_randomness(seen)
