"""Story: a request with approvals that look like enough.

One registry honest and careful is all that stands between a requester with friends in t registries
and a key. Each of these sets of approvals is short of one thing; nothing leaves for any of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from ceremonies import NAMES, NOW, Shares, approvals, generation, requested, run, verify

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import default_group
from upcare_mpc.abe.release import Releases
from upcare_mpc.abe.request import Approval, Request
from upcare_mpc.errors import ProtocolError, RefusedError

Signed = Callable[[Request], Sequence[Approval]]


@pytest.fixture(scope="module")
def made() -> tuple[Committee, Shares]:
    return run(generation(default_group(), NAMES[:5]))


def released(
    made: tuple[Committee, Shares], request: Request, signed: Sequence[Approval], now: float = NOW
) -> bool:
    """Whether de-c, that has approved of it, lets its fragment out."""
    committee, shares = made
    own = Releases(approved=frozenset({request.digest}))
    fragment, _ = own.release(committee, shares["de-c"], request, signed, verify=verify, now=now)
    return fragment.request == request.digest


def doubled(request: Request) -> list[Approval]:
    one, other, _ = approvals(request, "de-a", "de-b", "de-b")
    return [one, other, *approvals(request, "de-b")]  # another signature of the same registry


def renamed(request: Request) -> list[Approval]:
    one, other = approvals(request, "de-a", "de-b")
    return [one, other, replace(other, registry="fr-a")]


def of_a_twin(request: Request) -> list[Approval]:
    twin = replace(request, sealing_key=b"\7" * 32)
    moved = replace(approvals(twin, "fr-a")[0], request=request.digest)
    return [*approvals(request, "de-a", "de-b"), moved]


SHORT: list[tuple[str, Signed, type[Exception], str]] = [
    ("none", lambda q: [], RefusedError, "3 members of the committee have to approve, 0 do"),
    ("t", lambda q: approvals(q, "de-a", "de-b"), RefusedError, "have to approve, 2 do"),
    ("one twice", doubled, ProtocolError, "de-b approves twice"),
    ("one as another", renamed, ProtocolError, "fr-a has not signed this"),
    ("of a twin request", of_a_twin, ProtocolError, "fr-a has not signed this"),
    (
        "without the site",
        lambda q: approvals(q, "de-b", "de-c", "fr-a"),
        RefusedError,
        "no approval of de-a, whose records the key is for",
    ),
    (
        "with a stranger",
        lambda q: approvals(q, "de-a", "de-b", "lu-a"),
        ProtocolError,
        "'lu-a' is not asked to approve",
    ),
]


@pytest.mark.parametrize(
    ("signed", "error", "reason"), [case[1:] for case in SHORT], ids=[case[0] for case in SHORT]
)
def test_nothing_leaves_for_approvals(
    made: tuple[Committee, Shares], signed: Signed, error: type[Exception], reason: str
) -> None:
    request = requested(made[0])

    with pytest.raises(error, match=reason):
        released(made, request, signed(request))


def test_with_what_was_missing_the_fragment_leaves(made: tuple[Committee, Shares]) -> None:
    request = requested(made[0])

    assert released(made, request, approvals(request, "de-a", "de-b", "de-c"))


def test_the_right_site_of_a_request_for_two_is_not_enough(made: tuple[Committee, Shares]) -> None:
    request = requested(made[0], sites=("de-a", "lu-a"))

    with pytest.raises(RefusedError, match="no approval of lu-a, whose records"):
        released(made, request, approvals(request, "de-a", "de-b", "de-c"))
    assert released(made, request, approvals(request, "de-a", "de-b", "de-c", "lu-a"))


def test_approvals_do_not_outlive_their_request(made: tuple[Committee, Shares]) -> None:
    request = requested(made[0])
    signed = approvals(request, "de-a", "de-b", "de-c")

    assert released(made, request, signed, now=request.not_after)
    with pytest.raises(RefusedError, match="no longer valid"):
        released(made, request, signed, now=request.not_after + 1)
