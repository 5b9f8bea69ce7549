"""Story: an old fragment is brought out again.

A platform that has seen a project's fragments pass, or a requester that has kept hers, tries them
on a later request, on a request of another requester, at the next committee, or asks the registry
to send them again under another key. A fragment is for one request digest, which names requester,
sealing key, nonce, month, and committee; and it leaves a registry once.
"""

import secrets
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from ceremonies import NAMES, NOW, Shares, approvals, generation, handover, requested, run, verify

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import default_group
from upcare_mpc.abe.issuance import combine, issue, verify_fragment
from upcare_mpc.abe.release import Releases
from upcare_mpc.abe.request import Request
from upcare_mpc.abe.scheme import verify_key
from upcare_mpc.errors import ProtocolError, RefusedError
from upcare_mpc.journal import GENESIS, append

GROUP = default_group()


@pytest.fixture(scope="module")
def made() -> tuple[Committee, Shares]:
    return run(generation(GROUP))


def later(request: Request) -> dict[str, Request]:
    december = tuple(
        "epoch:2026-12" if each.startswith("epoch:") else each for each in request.attributes
    )
    return {
        "another nonce": replace(request, nonce=bytes(32)),
        "another key": replace(request, sealing_key=secrets.token_bytes(32)),
        "another requester": replace(request, requester="Eve"),
        "another end": replace(request, not_after=request.not_after + 1),
        "another month": replace(request, epoch="2026-12", attributes=december),
    }


@pytest.mark.parametrize(
    "case",
    ["another nonce", "another key", "another requester", "another end", "another month"],
)
def test_a_fragment_is_none_for_a_request_that_differs(
    made: tuple[Committee, Shares], case: str
) -> None:
    committee, shares = made
    request = requested(committee)
    old = issue(shares["de-a"], committee, request)
    new = later(request)[case]

    with pytest.raises(ProtocolError, match="the fragment of de-a is for another request"):
        verify_fragment(committee, new, old, secrets.token_bytes)
    relabelled = replace(old, request=new.digest, part=replace(old.part, attributes=new.attributes))
    with pytest.raises(ProtocolError, match="the fragment of de-a does not fit"):
        verify_fragment(committee, new, relabelled, secrets.token_bytes)


def test_one_old_and_one_new_fragment_are_no_key(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    first = requested(committee)
    second = later(first)["another key"]
    old = replace(issue(shares["de-a"], committee, first), request=second.digest)
    new = issue(shares["de-b"], committee, second)

    key = combine(committee, second, [old, new])

    with pytest.raises(ProtocolError, match="does not belong to the public key"):
        verify_key(GROUP, key, committee.public.element, secrets.token_bytes)


def test_a_fragment_of_the_committee_before_is_none_after(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    handed_over, new_shares = run(handover(committee), shares)
    request = requested(handed_over)
    old = issue(shares["de-a"], committee, replace(request, committee=committee.digest))
    new = issue(new_shares["de-b"], handed_over, request)

    moved = replace(old, request=request.digest)
    with pytest.raises(ProtocolError, match="the fragment of de-a does not fit"):
        verify_fragment(handed_over, request, moved, secrets.token_bytes)
    key = combine(handed_over, request, [moved, new])
    with pytest.raises(ProtocolError, match="does not belong to the public key"):
        verify_key(GROUP, key, committee.public.element, secrets.token_bytes)


def test_a_registry_that_forgot_the_rest_still_remembers_what_it_let_out(
    made: tuple[Committee, Shares],
) -> None:
    committee, shares = made
    request = requested(committee)
    time = datetime.fromtimestamp(NOW, UTC)
    signed = approvals(request, *NAMES[:2])
    entry = append(GENESIS, Releases().approve(committee, request, now=NOW), time=time)
    entries = [entry]
    _, event = Releases.of(entries).release(
        committee, shares["de-a"], request, signed, verify=verify, now=NOW
    )
    entries.append(append(entry.head, event, time=time))

    with pytest.raises(RefusedError, match="has left before"):
        Releases.of(entries).release(
            committee, shares["de-a"], request, signed, verify=verify, now=NOW
        )


def test_restored_from_a_backup_it_lets_out_the_same_and_nothing_new(
    made: tuple[Committee, Shares],
) -> None:
    # Its journal lost the release. The fragment is derived from the request, so the second one is
    # the first: the requester learns nothing, and no r is used for two requests.
    committee, shares = made
    request = requested(committee)
    signed = approvals(request, *NAMES[:2])
    restored = Releases(approved=frozenset({request.digest}))

    fragments = [
        restored.release(committee, shares["de-a"], request, signed, verify=verify, now=NOW)[0]
        for _ in range(2)
    ]

    assert bytes(fragments[0]) == bytes(fragments[1])
