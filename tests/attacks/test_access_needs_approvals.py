"""Story: a researcher, the platform, and t registries want a key that the others did not approve.

The network has a committee of three, t = 1, so one member is theirs: de-c. It breaks every rule
that its program has: it issues what nobody approved of, and hands its share to the researcher. The
platform carries the papers, and shows each registry what suits them. The honest members are de-a
and de-b; the records are theirs, or of fr-a, which is in no committee.

They hold one fragment always, and a key takes two. What they need is one honest fragment for their
request; each test is one way to get it.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from applications import NOW, SEALING, application, filed, identity
from desks import Desk, MemoryBoard, committee, outcomes

from upcare_mpc.abe.issuance import Fragment, combine, issue
from upcare_mpc.abe.request import Request, approval_statement
from upcare_mpc.abe.scheme import verify_key
from upcare_mpc.access.papers import SignedApproval
from upcare_mpc.access.sealing import unseal
from upcare_mpc.errors import ProtocolError

COMMITTEE, SHARES = committee()


class Honest:
    """de-a, de-b and fr-a, and the board that the platform keeps for them."""

    def __init__(self, folder: Path) -> None:
        self.board = MemoryBoard()
        self.desks = {name: Desk(folder, self.board, name) for name in ("de-a", "de-b", "fr-a")}

    def issue(self) -> None:
        for name in ("de-a", "de-b"):
            self.desks[name].issue()

    def fragments(self, digest: bytes) -> list[Fragment]:
        """What the researcher opens of what they let out."""
        return [
            Fragment.from_bytes(
                COMMITTEE.group,
                unseal(paper.sealed, SEALING, use="fragment", digest=digest, names=(author,)),
            )
            for author, paper in self.board.read(digest).fragments.items()
        ]


@pytest.fixture
def honest(tmp_path: Path) -> Honest:
    return Honest(tmp_path)


def of_de_c(request: Request) -> Fragment:
    return issue(SHARES["de-c"], COMMITTEE, request)


def signed(digest: bytes, name: str, by: str) -> bytes:
    signer = identity(by)
    return bytes(
        SignedApproval(
            registry=name,
            request=digest,
            signature=signer.sign(approval_statement(digest, name)),
            certificate=signer.certificate_pem,
        )
    )


def test_their_own_approval_and_fragment_are_not_enough(honest: Honest) -> None:
    filing = filed(COMMITTEE, application(registries=("de-a",)))
    digest = honest.board.file(filing)
    honest.board.leave(digest, "de-c", "approval", signed(digest, "de-c", by="de-c"))
    honest.issue()

    assert honest.fragments(digest) == []
    with pytest.raises(ProtocolError, match="a key takes 2 fragments, got 1"):
        combine(COMMITTEE, filing.request, [of_de_c(filing.request)])


def test_the_registry_whose_records_they_are_is_not_passed_over(honest: Honest) -> None:
    """t + 1 members approve, an honest one with them; fr-a, whose patients they are, does not."""
    digest = honest.board.file(filed(COMMITTEE, application(registries=("fr-a",))))
    honest.board.leave(digest, "de-c", "approval", signed(digest, "de-c", by="de-c"))
    honest.desks["de-a"].approve(digest)
    honest.board.leave(digest, "fr-a", "approval", signed(digest, "fr-a", by="de-c"))

    assert outcomes(honest.desks["de-a"].issue()) == [
        ("waits", "no approval of fr-a, whose records the key is for")
    ]
    assert honest.fragments(digest) == []


@pytest.mark.parametrize("sender", ["de-b", "platform", ""])
def test_approvals_in_anothers_name_do_not_count(honest: Honest, sender: str) -> None:
    digest = honest.board.file(filed(COMMITTEE, application(registries=("de-a",))))
    honest.desks["de-a"].approve(digest)
    honest.board.leave(digest, sender, "approval", signed(digest, "de-b", by="de-c"))
    strangers = identity("de-b", "elsewhere")  # a certificate of de-b, of a network of their own
    forged = SignedApproval(
        registry="de-b",
        request=digest,
        signature=strangers.sign(approval_statement(digest, "de-b")),
        certificate=strangers.certificate_pem,
    )
    honest.board.leave(digest, sender, "approval", bytes(forged))

    assert outcomes(honest.desks["de-a"].issue()) == [
        ("waits", "2 members of the committee have to approve, 1 do")
    ]


def test_approvals_of_another_request_do_not_count(honest: Honest) -> None:
    """Everybody approves of a harmless request; its approvals are laid on a wider one's topic."""
    harmless = honest.board.file(filed(COMMITTEE, application(registries=("de-a",))))
    wide = honest.board.file(filed(COMMITTEE, application(registries=("de-a", "de-b"))))
    for name in ("de-a", "de-b"):
        honest.desks[name].approve(harmless)
    honest.desks["de-a"].approve(wide)
    for paper in list(honest.board.topics[harmless]):
        if paper.kind == "approval":
            honest.board.leave(wide, paper.sender, paper.kind, paper.content)
    moved = replace(honest.board.read(harmless).approvals["de-b"], request=wide)
    honest.board.leave(wide, "de-b", "approval", bytes(moved))
    honest.issue()

    assert len(honest.fragments(harmless)) == 2
    assert honest.fragments(wide) == []


def test_fragments_of_a_granted_request_do_not_help_another(honest: Honest) -> None:
    """The key that was granted, and their own fragment for the one that was not: no second key."""
    granted = filed(COMMITTEE, application(registries=("de-a",)))
    refused = filed(COMMITTEE, application(registries=("de-a",), title="Something else"))
    digest = honest.board.file(granted)
    honest.board.file(refused)
    for name in ("de-a", "de-b"):
        honest.desks[name].approve(digest)
    honest.issue()
    (one, *_) = honest.fragments(digest)

    with pytest.raises(ProtocolError, match="is for another request"):
        combine(COMMITTEE, refused.request, [one, of_de_c(refused.request)])
    relabelled = replace(one, request=refused.request.digest)
    forged = combine(COMMITTEE, refused.request, [relabelled, of_de_c(refused.request)])
    with pytest.raises(ProtocolError):
        verify_key(COMMITTEE.group, forged, COMMITTEE.public.element, os.urandom)


def test_a_replayed_board_gets_no_second_fragment(honest: Honest) -> None:
    """The platform forgets what was issued, and shows the approvals again."""
    digest = honest.board.file(filed(COMMITTEE, application(registries=("de-a",))))
    for name in ("de-a", "de-b"):
        honest.desks[name].approve(digest)
    honest.issue()
    first = [bytes(paper) for paper in honest.board.read(digest).fragments.values()]
    for name in ("de-a", "de-b"):
        honest.board.drop(digest, "fragment", name)
    honest.issue()

    assert [bytes(paper) for paper in honest.board.read(digest).fragments.values()] == first
    for name in ("de-a", "de-b"):
        assert len(honest.desks[name].journal("access.release")) == 1


def test_who_approved_knows_it_and_the_key_is_in_every_journal(honest: Honest) -> None:
    """With the honest approvals there is a key: the tests above fail for no other reason."""
    filing = filed(COMMITTEE, application(registries=("de-a",)))
    digest = honest.board.file(filing)
    honest.desks["de-a"].approve(digest)
    honest.board.leave(digest, "de-c", "approval", signed(digest, "de-c", by="de-c"))
    honest.issue()

    key = combine(COMMITTEE, filing.request, [*honest.fragments(digest), of_de_c(filing.request)])
    verify_key(COMMITTEE.group, key, COMMITTEE.public.element, os.urandom)
    (entry,) = honest.desks["de-a"].journal("access.release")
    assert entry.fields()["request"] == digest.hex()
    assert NOW.timestamp() < filing.request.not_after
