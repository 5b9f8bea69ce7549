"""A topic that anybody has written on: what counts, and what is passed over and told."""

from dataclasses import dataclass

import pytest
from applications import NOW, application, identity, requested
from ceremonies import generation, run

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import default_group
from upcare_mpc.abe.request import approval_statement
from upcare_mpc.access.papers import (
    Refusal,
    SealedFragment,
    SignedApproval,
    fragment_statement,
    refusal_statement,
)
from upcare_mpc.access.topic import Fetch, Topic, asked, read_topic
from upcare_mpc.link.signers import certifier

REQUEST = bytes(range(32))


@dataclass(frozen=True)
class Left:
    """A paper on a board."""

    sender: str
    kind: str
    content: bytes


def read(*papers: Left) -> Topic:
    certify = certifier(identity("de-a").network, now=NOW)
    return read_topic(papers, request=REQUEST, certify=certify)


def approval(name: str) -> SignedApproval:
    signer = identity(name)
    return SignedApproval(
        registry=name,
        request=REQUEST,
        signature=signer.sign(approval_statement(REQUEST, name)),
        certificate=signer.certificate_pem,
    )


def refusal(name: str, reason: str) -> Refusal:
    signer = identity(name)
    return Refusal(
        registry=name,
        request=REQUEST,
        reason=reason,
        signature=signer.sign(refusal_statement(REQUEST, name, reason)),
        certificate=signer.certificate_pem,
    )


def fragment(name: str, sealed: bytes = b"sealed") -> SealedFragment:
    signer, randomness = identity(name), b"\1" * 32
    return SealedFragment(
        author=name,
        request=REQUEST,
        randomness=randomness,
        sealed=sealed,
        signature=signer.sign(fragment_statement(REQUEST, name, randomness, sealed)),
        certificate=signer.certificate_pem,
    )


def test_who_said_something_is_who_signed_and_not_who_left_it() -> None:
    topic = read(
        Left("platform", "approval", bytes(approval("de-a"))),
        Left("de-a", "refusal", bytes(refusal("de-b", "no vote"))),
        Left("", "fragment", bytes(fragment("de-c"))),
    )

    assert set(topic.approvals) == {"de-a"}
    assert {name: paper.reason for name, paper in topic.refusals.items()} == {"de-b": "no vote"}
    assert set(topic.fragments) == {"de-c"}
    assert topic.passed_over == ()


def test_of_several_papers_of_a_kind_the_first_counts() -> None:
    first, second = fragment("de-a"), fragment("de-a", b"another")
    topic = read(
        Left("de-a", "fragment", bytes(first)),
        Left("de-a", "fragment", bytes(second)),
        Left("de-a", "approval", bytes(approval("de-a"))),
        Left("de-a", "approval", bytes(approval("de-a"))),
    )

    assert topic.fragments == {"de-a": first}
    assert len(topic.approvals) == 1


def test_a_paper_under_another_kind_is_passed_over() -> None:
    topic = read(
        Left("de-a", "fragment", bytes(approval("de-a"))),
        Left("de-a", "approval", bytes(refusal("de-a", "no"))),
        Left("de-a\x1b[2J", "approval", b""),
    )

    assert (topic.approvals, topic.fragments) == ({}, {})
    assert [line.partition(":")[0] for line in topic.passed_over] == [
        "fragment from 'de-a' is passed over",
        "approval from 'de-a' is passed over",
        r"approval from 'de-a\x1b[2J' is passed over",
    ]


def test_kinds_that_are_not_about_a_request_are_nobodys_business() -> None:
    assert read(Left("", "filing", b"x"), Left("de-a", "unheard-of", b"x")).passed_over == ()


def test_a_fetch_is_the_platforms_word_alone() -> None:
    word = b'{"edition":3,"registry":"de-a"}'
    topic = read(
        Left("platform", "fetch", word),
        Left("platform", "fetch", word),
        Left("de-a", "fetch", b'{"edition":4,"registry":"de-a"}'),
        Left("platform", "fetch", b'{"edition":"4","registry":"de-a"}'),
        Left("platform", "fetch", b'{"edition":4,"registry":"de-a","more":1}'),
        Left("platform", "fetch", b"{" * 100),
    )

    assert topic.fetches == (Fetch(registry="de-a", edition=3),)
    assert len(topic.passed_over) == 4


@pytest.fixture(scope="module")
def committee() -> Committee:
    return run(generation(default_group()))[0]  # de-a, de-b, de-c with t = 1


def test_issued_by_members_of_whom_there_are_enough(committee: Committee) -> None:
    one, two = fragment("de-a"), fragment("de-c")
    stranger = fragment("fr-a")

    assert read(Left("", "fragment", bytes(one))).issued(committee) == ()
    both = [Left("", "fragment", bytes(paper)) for paper in (one, stranger)]
    assert read(*both).issued(committee) == ()
    all_ = [*both, Left("", "fragment", bytes(two))]
    assert read(*all_).issued(committee) == ("de-a", "de-c")


def test_asked_are_members_and_sites(committee: Committee) -> None:
    request = requested(committee, application(registries=("fr-a",)))

    assert asked(committee, request) == {"de-a", "de-b", "de-c", "fr-a"}
    topic = read(*(Left("", "approval", bytes(approval(name))) for name in ("de-a", "lu-a")))
    assert [one.registry for one in topic.approvals_for(committee, request)] == ["de-a"]
