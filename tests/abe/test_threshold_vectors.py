"""The bytes of ceremonies, requests and fragments are those of the vectors, on both libraries."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from upcare_mpc.abe.ceremony import Ceremony, Kind, Signed, Transcript
from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.abe.dealing import Dealing
from upcare_mpc.abe.groups import Group
from upcare_mpc.abe.issuance import Fragment, combine, issue, verify_fragment
from upcare_mpc.abe.request import Request, approval_statement
from upcare_mpc.abe.scheme import verify_key
from upcare_mpc.abe.threshold import conclude, deal_in, report
from upcare_mpc.errors import ProtocolError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "abe_threshold.json").read_text())
GENERATION, HANDOVER, ISSUANCE = (VECTORS[name] for name in ("generation", "handover", "issuance"))
Case = dict[str, Any]


def ceremony_of(group: Group, case: Case, previous: Committee | None) -> Ceremony:
    return Ceremony(
        group=group,
        network=case["network"],
        identifier=bytes.fromhex(case["identifier"]),
        roster=bytes.fromhex(case["roster"]),
        members=tuple(case["members"]),
        threshold=case["threshold"],
        previous=previous,
        dealers=tuple(case["dealers"]),
    )


def fixed(drawn: str) -> Callable[[int], bytes]:
    return lambda count: bytes.fromhex(drawn)[:count]


def unsigned(kind: Kind, sender: str, body: str, recipient: str = "") -> Signed:
    return Signed(
        kind=kind,
        sender=sender,
        recipient=recipient,
        body=bytes.fromhex(body),
        signature=b"",
    )


def replay(group: Group, case: Case, previous: Committee | None, shares: dict[str, Share]) -> None:
    """Go through a ceremony, and compare every byte."""
    ceremony = ceremony_of(group, case, previous)
    assert ceremony.digest.hex() == case["ceremony_digest"]
    transcript = Transcript(ceremony, lambda name, signed, signature: None)
    sub_shares: dict[str, dict[str, Signed]] = {name: {} for name in ceremony.members}
    for dealer, dealt in case["dealers"].items():
        share = shares.get(dealer) if previous else None
        body, bodies = deal_in(ceremony, dealer, share, fixed(dealt["random"]))
        assert body.hex() == dealt["dealing"]
        assert {name: each.hex() for name, each in bodies.items()} == dealt["sub_shares"]
        transcript.add(unsigned(Kind.DEALING, dealer, dealt["dealing"]))
        for name, each in dealt["sub_shares"].items():
            sub_shares[name][dealer] = unsigned(Kind.SUB_SHARE, dealer, each, name)
    signed = transcript.messages()[0].to_sign(ceremony)
    assert signed.hex() == case["first_dealing_to_sign"]
    for name in ceremony.members:
        assert report(transcript, name, sub_shares[name]).hex() == case["report"]
        transcript.add(unsigned(Kind.REPORT, name, case["report"]))
    outcome = conclude(transcript)
    assert bytes(outcome.committee).hex() == case["committee"]
    assert outcome.confirmation.hex() == case["confirmation"]
    for name, member in case["members"].items():
        share = outcome.share(name, sub_shares[name], fixed(member["seed"]))
        assert bytes(share).hex() == member["share"]


def committee_of(group: Group, case: Case) -> tuple[Committee, dict[str, Share]]:
    committee = Committee.from_bytes(group, bytes.fromhex(case["committee"]))
    shares = {
        name: Share.from_bytes(committee, bytes.fromhex(member["share"]))
        for name, member in case["members"].items()
    }
    return committee, shares


def test_key_generation_gives_the_bytes_of_the_vectors(group: Group) -> None:
    replay(group, GENERATION, None, {})


def test_handing_over_gives_the_bytes_of_the_vectors(group: Group) -> None:
    replay(group, HANDOVER, *committee_of(group, GENERATION))


def test_a_request_has_the_bytes_of_the_vectors() -> None:
    request = Request.from_bytes(bytes.fromhex(ISSUANCE["request"]))

    assert request.requester == ISSUANCE["requester"]
    assert list(request.attributes) == ISSUANCE["attributes"]
    assert request.not_after == ISSUANCE["not_after"]
    assert request.digest.hex() == ISSUANCE["request_digest"]
    statement = approval_statement(request.digest, ISSUANCE["approving"])
    assert statement.hex() == ISSUANCE["approval_to_sign"]


def test_fragments_and_key_have_the_bytes_of_the_vectors(group: Group) -> None:
    committee, shares = committee_of(group, HANDOVER)
    request = Request.from_bytes(bytes.fromhex(ISSUANCE["request"]))
    fragments = []
    for name, made in ISSUANCE["fragments"].items():
        assert bytes(issue(shares[name], committee, request)).hex() == made["fragment"]
        fragment = Fragment.from_bytes(group, bytes.fromhex(made["fragment"]))
        assert fragment.randomness.hex() == made["randomness"]
        verify_fragment(committee, request, fragment, lambda count: b"\xa5" * count)
        fragments.append(fragment)

    key = combine(committee, request, fragments)

    assert bytes(key).hex() == ISSUANCE["key"]
    verify_key(group, key, committee.public.element, lambda count: b"\x5a" * count)


@pytest.mark.parametrize("case", VECTORS["bad"], ids=lambda case: case["name"])
def test_bad_vectors_are_refused_with_one_text_a_kind(fast: Group, case: Case) -> None:
    encoded = bytes.fromhex(case["bytes"])
    committee, _ = committee_of(fast, GENERATION)
    dealer, digest = "de-a", bytes.fromhex(GENERATION["ceremony_digest"])
    readers: dict[str, Callable[[], object]] = {
        "dealing": lambda: Dealing.from_bytes(
            fast, encoded, threshold=1, ceremony=digest, dealer=dealer
        ),
        "committee": lambda: Committee.from_bytes(fast, encoded),
        "share": lambda: Share.from_bytes(committee, encoded),
        "message": lambda: Signed.from_bytes(encoded),
        "request": lambda: Request.from_bytes(encoded),
        "fragment": lambda: Fragment.from_bytes(fast, encoded),
    }

    with pytest.raises(ProtocolError) as caught:
        readers[case["kind"]]()

    assert str(caught.value) == case["text"]
    assert caught.value.__cause__ is None
