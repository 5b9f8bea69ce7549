"""A program written from docs/abe.md makes the bytes of the vectors, and reads what is sealed."""

import json
import secrets
from pathlib import Path
from typing import Any

import abe_by_the_page as page
import pytest
from py_ecc import optimized_bls12_381 as curve

from upcare_mpc.abe.groups import Group
from upcare_mpc.abe.kem import decapsulate
from upcare_mpc.abe.keys import AttributeKey, PublicKey
from upcare_mpc.abe.policy import parse
from upcare_mpc.abe.request import Request

FOLDER = Path(__file__).parents[1] / "vectors"
SEALED = json.loads((FOLDER / "abe.json").read_text())["good"]
THRESHOLD = json.loads((FOLDER / "abe_threshold.json").read_text())
GENERATION, HANDOVER, ISSUANCE = (THRESHOLD[k] for k in ("generation", "handover", "issuance"))
Case = dict[str, Any]


def _at_its_time(case: Case) -> Any:
    marks = [pytest.mark.slow] if len(case["attributes"]) > 1 else []
    return pytest.param(case, id=case["name"], marks=marks)


@pytest.mark.parametrize("case", [_at_its_time(case) for case in SEALED])
def test_headers_and_keys_are_those_of_the_vectors(case: Case) -> None:
    alpha, context = int(case["alpha"], 16), bytes.fromhex(case["context"])
    public, policy = page.power(curve.G2, alpha), str(parse(case["policy"]))

    mine = page.key(alpha, case["attributes"], int(case["r"], 16))
    sealed = page.seal(public, policy, context, bytes.fromhex(case["seed"]))

    assert page.public_bytes(public).hex() == case["public_key"]
    assert bytes(mine).hex() == case["attribute_key"]
    assert sealed.header.hex() == case["header"]
    assert sealed.wrapping_key.hex() == case["wrapping_key"]
    assert page.open_sealed(public, mine, policy, context, sealed) == sealed.wrapping_key


def test_what_it_seals_opens_with_a_key_that_it_combined(fast: Group) -> None:
    ceremony = begun(THRESHOLD["generation"], previous=b"", generation=1)
    for dealer in ceremony.dealers:
        ceremony.deal(dealer, secrets.token_bytes(32), None)
    a, b = ceremony.sums(dict.fromkeys(ceremony.dealers, 1))
    committee = ceremony.outcome(a, b)
    names, q = ["a:x", "b:1", "b:2"], secrets.token_bytes(32)
    policy = "and(a:x,atleast(2,b:1,b:2,b:3))"

    parts = {
        place: page.fragment(
            page.at(a, place), page.at(b, place), secrets.token_bytes(32), q, names
        )
        for place in (1, 3)
    }
    sealed = page.seal(committee.commitments[0], policy, b"what for", secrets.token_bytes(32))

    public = PublicKey.from_bytes(fast, page.public_bytes(committee.commitments[0]))
    key = AttributeKey.from_bytes(fast, bytes(page.combine(parts)))
    opened = decapsulate(public, key, sealed.header, context=b"what for")
    assert opened == sealed.wrapping_key


def begun(case: Case, *, previous: bytes, generation: int) -> page.Ceremony:
    return page.Ceremony(
        network=case["network"],
        identifier=bytes.fromhex(case["identifier"]),
        roster=bytes.fromhex(case["roster"]),
        generation=generation,
        previous=previous,
        threshold=case["threshold"],
        members=list(case["members"]),
        dealers=list(case["dealers"]),
    )


def gone_through(
    case: Case, ceremony: page.Ceremony, held: dict[str, int | None], weights: dict[str, int]
) -> tuple[page.Committee, list[int], list[int]]:
    """A ceremony in which everybody does as agreed, held against its vectors."""
    assert ceremony.digest.hex() == case["ceremony_digest"]
    for dealer, dealt in case["dealers"].items():
        body = ceremony.deal(dealer, bytes.fromhex(dealt["random"]), held[dealer])
        assert body.hex() == dealt["dealing"]
        for member, sub_share in dealt["sub_shares"].items():
            assert ceremony.sub_share(dealer, member).hex() == sub_share
    first = ceremony.dealers[0]
    signed = ceremony.to_sign("dealing", first, "", ceremony.dealings[first])
    assert signed.hex() == case["first_dealing_to_sign"]
    assert ceremony.report().hex() == case["report"]
    a, b = ceremony.sums(weights)
    committee = ceremony.outcome(a, b)
    assert bytes(committee).hex() == case["committee"]
    assert ceremony.confirmation(committee).hex() == case["confirmation"]
    for place, (name, member) in enumerate(case["members"].items(), start=1):
        values = page.at(a, place), page.at(b, place)
        share = page.share_bytes(committee, name, *values, bytes.fromhex(member["seed"]))
        assert share.hex() == member["share"]
    return committee, a, b


def test_a_key_made_handed_over_and_issued_has_the_bytes_of_the_vectors() -> None:
    made = begun(GENERATION, previous=b"", generation=1)
    first, old, _ = gone_through(
        GENERATION, made, dict.fromkeys(made.dealers), dict.fromkeys(made.dealers, 1)
    )
    handed = begun(HANDOVER, previous=first.digest, generation=2)
    places = {name: 1 + first.members.index(name) for name in handed.dealers}
    weights = dict(zip(handed.dealers, page.lagrange(list(places.values())), strict=True))
    held: dict[str, int | None] = {name: page.at(old, place) for name, place in places.items()}
    second, a, b = gone_through(HANDOVER, handed, held, weights)

    asked = Request.from_bytes(bytes.fromhex(ISSUANCE["request"]))
    texts = asked.network, asked.epoch, asked.project, asked.requester, *asked.attributes
    request = page.request_bytes(
        *texts,
        committee=second.digest,
        key=asked.sealing_key,
        nonce=asked.nonce,
        end=ISSUANCE["not_after"],
    )
    q = page.request_digest(request)
    parts = {}
    for name, made_part in ISSUANCE["fragments"].items():
        place = 1 + second.members.index(name)
        seed = bytes.fromhex(HANDOVER["members"][name]["seed"])
        values = page.at(a, place), page.at(b, place)
        part = page.fragment(*values, seed, q, ISSUANCE["attributes"])
        assert page.fragment_bytes(name, q, part).hex() == made_part["fragment"]
        assert page.randomness(part).hex() == made_part["randomness"]
        parts[place] = part

    assert request.hex() == ISSUANCE["request"]
    assert q.hex() == ISSUANCE["request_digest"]
    approved = page.statement("approval", q, ISSUANCE["approving"].encode())
    assert approved.hex() == ISSUANCE["approval_to_sign"]
    assert bytes(page.combine(parts)).hex() == ISSUANCE["key"]
