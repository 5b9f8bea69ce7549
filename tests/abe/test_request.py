"""A request is one digest, and nothing is issued for it that the right registries did not sign."""

import secrets
from dataclasses import replace

import pytest
from ceremonies import (
    NAMES,
    NOW,
    Shares,
    approvals,
    generation,
    handover,
    requested,
    run,
    sign,
    verify,
)

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import default_group
from upcare_mpc.abe.request import (
    MAX_REQUEST_BYTES,
    MAX_REQUEST_SECONDS,
    Approval,
    Request,
    approval_statement,
    check_approvals,
    check_request,
)
from upcare_mpc.errors import InputError, ProtocolError, RefusedError
from upcare_mpc.study.packed import pack

GROUP = default_group()


@pytest.fixture(scope="module")
def made() -> tuple[Committee, Shares]:
    return run(generation(GROUP, NAMES[:5]))


@pytest.fixture(scope="module")
def committee(made: tuple[Committee, Shares]) -> Committee:
    return made[0]


def test_a_request_comes_back(committee: Committee) -> None:
    request = requested(committee, "duo:hmb", "ds:c50")

    assert Request.from_bytes(bytes(request)) == request
    assert Request.from_bytes(bytes(request)).digest == request.digest


def test_every_field_is_in_the_digest(committee: Committee) -> None:
    request = requested(committee, "duo:hmb")
    others = tuple(a for a in request.attributes if not a.startswith(("epoch:", "project:")))
    changed = [
        replace(request, network="other"),
        replace(request, committee=bytes(32)),
        replace(
            request,
            epoch="2026-12",
            attributes=tuple(sorted((*others, "epoch:2026-12", "project:p-17"))),
        ),
        replace(
            request,
            project="p-18",
            attributes=tuple(sorted((*others, "epoch:2026-11", "project:p-18"))),
        ),
        replace(request, requester="Ada Lovelace"),
        replace(request, sealing_key=bytes(32)),
        replace(request, nonce=bytes(32)),
        replace(request, not_after=request.not_after + 1),
        replace(request, attributes=tuple(sorted((*request.attributes, "ds:c50")))),
    ]

    assert len({each.digest for each in (request, *changed)}) == 1 + len(changed)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"committee": bytes(31)}, "digest of 32 bytes"),
        ({"sealing_key": bytes(33)}, "sealing key of 32"),
        ({"nonce": bytes(16)}, "nonce of 32"),
        ({"requester": ""}, "printable ASCII"),
        ({"requester": "x" * 129}, "printable ASCII"),
        ({"requester": "Ada\n"}, "printable ASCII"),
        ({"requester": "Ad\u0430"}, "printable ASCII"),
        ({"requester": " Ada"}, "printable ASCII"),
        ({"not_after": 0}, "a time in seconds"),
        ({"not_after": 1 << 37}, "a time in seconds"),
        ({"epoch": "2026-12"}, "one attribute of the namespace epoch"),
        ({"project": "p-18"}, "one attribute of the namespace project"),
        ({"attributes": ("epoch:2026-11", "project:p-17")}, "names a site"),
        ({"attributes": ("project:p-17", "epoch:2026-11", "site:de-a")}, "ascend"),
        ({"attributes": ("epoch:2026-11", "project:p-17", "site:de-\u0430")}, "namespace:value"),
        (
            {"attributes": ("epoch:2026-11", "epoch:2026-12", "project:p-17", "site:de-a")},
            "one attribute of the namespace epoch",
        ),
        (
            {"attributes": ("epoch:2026-11", "project:p-17", "project:p-18", "site:de-a")},
            "one attribute of the namespace project",
        ),
        (
            {"attributes": ("epoch:2026-11", "project:p-17", "site:de-a", "site:de-a")},
            "stands twice",
        ),
    ],
)
def test_what_is_no_request_is_refused(
    committee: Committee, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        replace(requested(committee), **changes)  # type: ignore[arg-type]


def test_a_namespace_is_compared_as_a_whole(committee: Committee) -> None:
    request = requested(committee, "epoch-of:x", "site-b:y", "sites:z")

    assert request.sites == ("de-a",)


def test_bytes_that_are_no_request_are_refused(committee: Committee) -> None:
    encoded = bytes(requested(committee))
    fields = requested(committee)
    bad = [
        b"",
        encoded[:-1],
        encoded + b"\0\0\0\0",
        b"UAQ2" + encoded[4:],
        encoded.replace(b"site:de-a", b"SITE:de-a"),
        encoded.replace(b"eu-cancer", b"eu-canc\xe9r"),
        encoded + bytes(MAX_REQUEST_BYTES),
        pack(b"UAQ1", b"eu-cancer"),
        # the time in other than 8 bytes
        pack(
            b"UAQ1",
            b"eu-cancer",
            fields.committee,
            b"2026-11",
            b"p-17",
            b"Ada",
            fields.sealing_key,
            fields.nonce,
            b"\0" + fields.not_after.to_bytes(8),
            *(attribute.encode() for attribute in fields.attributes),
        ),
    ]

    for each in bad:
        with pytest.raises(ProtocolError, match="these are not the bytes of a request, version 1"):
            Request.from_bytes(each)


def test_a_request_of_the_largest_size_comes_back(committee: Committee) -> None:
    many = [f"{'n' * 13}{i:03}:{'v' * 63}" for i in range(125)]
    request = requested(committee, *many)

    assert len(request.attributes) == 128
    assert Request.from_bytes(bytes(request)) == request


def test_a_request_holds_for_its_committee_and_time(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    next_one, _ = run(handover(committee), shares)
    request = requested(committee)

    check_request(committee, request, now=request.not_after)
    with pytest.raises(RefusedError, match="no longer valid"):
        check_request(committee, request, now=request.not_after + 1)
    check_request(committee, request, now=request.not_after - MAX_REQUEST_SECONDS)
    with pytest.raises(RefusedError, match="31 days at most"):
        check_request(committee, request, now=request.not_after - MAX_REQUEST_SECONDS - 1)
    for foreign in (replace(request, network="other"), requested(next_one)):
        with pytest.raises(RefusedError, match="another network or another committee"):
            check_request(committee, foreign, now=NOW)


@pytest.mark.parametrize("names", [NAMES[:3], NAMES[:5], ("fr-b", "de-a", "de-c")])
def test_three_of_five_and_the_site_are_enough(
    committee: Committee, names: tuple[str, ...]
) -> None:
    request = requested(committee)

    check_approvals(committee, request, approvals(request, *names), verify)


def test_a_site_outside_the_committee_approves_but_is_not_counted(committee: Committee) -> None:
    request = requested(committee, sites=("lu-a",))

    check_approvals(committee, request, approvals(request, "de-a", "de-b", "de-c", "lu-a"), verify)
    with pytest.raises(RefusedError, match="3 members of the committee have to approve, 2 do"):
        check_approvals(committee, request, approvals(request, "de-a", "de-b", "lu-a"), verify)


def test_every_site_of_the_request_has_to_approve(committee: Committee) -> None:
    request = requested(committee, sites=("de-a", "fr-a", "lu-a"))

    with pytest.raises(RefusedError, match="no approval of fr-a, lu-a, whose records"):
        check_approvals(committee, request, approvals(request, *NAMES[:3]), verify)


def test_an_approval_is_of_its_request_registry_and_use_alone(committee: Committee) -> None:
    request, other = requested(committee), requested(committee)
    good = approvals(request, "de-a", "de-b", "de-c")
    wrong = [
        (approvals(other, "de-c")[0], "approves of another request"),
        (replace(approvals(other, "de-c")[0], request=request.digest), "has not signed"),
        (replace(good[1], registry="de-c"), "has not signed"),
        (replace(good[2], signature=secrets.token_bytes(70)), "has not signed"),
        (replace(good[1], registry="fr-c"), "'fr-c' is not asked"),
        (good[0], "de-a approves twice"),
        (
            Approval(
                registry="de-c", request=request.digest, signature=sign("de-c")(request.digest)
            ),
            "has not signed",
        ),
    ]

    for approval, reason in wrong:
        with pytest.raises(ProtocolError, match=reason):
            check_approvals(committee, request, [*good[:2], approval], verify)


def test_the_statement_of_an_approval_names_request_and_registry() -> None:
    statement = approval_statement(b"\7" * 32, "de-a")

    assert statement == b"upcare/v1/abe-approval|\0\0\0\x20" + b"\7" * 32 + b"\0\0\0\4de-a"
