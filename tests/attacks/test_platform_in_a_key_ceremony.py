"""Story: the platform carries all papers of a key ceremony, and one registry is in league with it.

The platform withholds, doubles and changes papers, and shows different ones to different
registries. It holds no key that a registry's certificate names, so it can make nothing up; its
friend de-c signs whatever is useful. What they reach is that a ceremony stops. Nobody gets a share
of something that others do not have, nothing that was there before is erased, and where two papers
of de-c meet on one board, they name it.
"""

import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hall import NAMES, Paper, anchor, identity, signer
from halls import Network, Platform

from upcare_mpc.abe.ceremony import Kind, Signed
from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import ORDER
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.access.ceremony import read_ceremony
from upcare_mpc.access.committees import fingerprint
from upcare_mpc.access.participant import Part, go_on, take_seat
from upcare_mpc.access.seats import Proposal, SealedSubShare, Seat
from upcare_mpc.authority import participation
from upcare_mpc.errors import ConfigError, ProtocolError, SessionError
from upcare_mpc.study.packed import unpack

HONEST = ("de-a", "de-b")


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path, "de-a", "de-b", "de-c", "fr-a", "fr-b")


@pytest.fixture(autouse=True)
def _short_gossip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(participation, "GOSSIP_S", 2.0)


class Friend:
    """de-c, once for each face that it shows."""

    def __init__(self, platform: Platform, proposal: Proposal) -> None:
        self.platform = platform
        self.proposal = proposal
        self.faces: dict[str, Part] = {}

    def sit(self, *faces: str) -> None:
        """One seat for all faces, or one for each if it sits for each alone."""
        part = take_seat(self.proposal, signer("de-c"), secrets.token_bytes)
        for face in faces:
            self.faces[face] = part
        self._post()

    def act(self, face: str) -> None:
        """Go on as it would if the reader of this face were everybody."""
        papers = self.platform.topics[self.proposal.topic]
        reading = read_ceremony(
            self.proposal,
            [paper for paper in papers if self.platform.shows(face, paper)],
            previous=None,
            group=anchor().group,
            certify_at=anchor().certify_at,
        )
        self.faces[face] = go_on(
            self.faces[face], reading, signer("de-c"), share=None, random=secrets.token_bytes
        )
        self._post()

    def only_for(self, reader: str, content: bytes) -> bool:
        """Whether a paper of de-c is meant for a reader."""
        meant = {
            face for face, part in self.faces.items() if content in [c for _, c in part.papers]
        }
        return not meant or reader in meant

    def _post(self) -> None:
        for part in self.faces.values():
            for kind, content in part.papers:
                self.platform.leave(self.proposal.topic, "de-c", kind, content)


def two_faced(network: Network, *, passes_on: bool) -> tuple[Proposal, Friend]:
    """de-c deals twice, and the platform shows each victim its own dealing."""
    proposal = network["de-a"].propose(*NAMES)
    friend = Friend(network.platform, proposal)

    def shows(reader: str, paper: Paper) -> bool:
        if paper.sender == "de-c":
            return friend.only_for(reader, paper.content)
        handed_on = paper.kind in {"dealing", "report", "seat"} and paper.sender != signed_by(paper)
        return passes_on or not handed_on

    network.platform.shows = shows
    return proposal, friend


def signed_by(paper: Paper) -> str:
    if paper.kind == "seat":
        return unpack(b"UAT1", paper.content, most=16 << 10)[1].decode()
    return Signed.from_bytes(paper.content).sender


def rounds(network: Network, proposal: Proposal, friend: Friend) -> Iterator[dict[str, object]]:
    """The honest look for a while, then de-c acts with both faces; again and again."""
    while True:
        yield dict(network.together(proposal, *HONEST, patience_s=0.4))
        for face in friend.faces:
            with suppress(ProtocolError):  # it sees that it is found out
                friend.act(face)


def stopped(network: Network, proposal: Proposal, friend: Friend) -> dict[str, object]:
    """What the honest say once neither goes on waiting."""
    for _, ends in zip(range(20), rounds(network, proposal, friend), strict=False):
        if all(isinstance(end, ProtocolError) for end in ends.values()):
            return ends
    raise AssertionError(ends)


@pytest.mark.parametrize("passes_on", [True, False])
def test_two_dealings_shown_to_two_registries_come_to_nothing(
    network: Network, passes_on: bool
) -> None:
    proposal, friend = two_faced(network, passes_on=passes_on)
    friend.sit(*HONEST)

    ends = stopped(network, proposal, friend)

    if passes_on:  # each hands on what it was told, and the two words of de-c meet
        assert {str(end) for end in ends.values()} == {
            "de-c signed two different messages of one ceremony, each a dealing"
        }
    else:  # nobody can say who, and still nobody uses it
        assert str(ends["de-a"]) == "de-b holds other dealings than this transcript"
        assert str(ends["de-b"]) == "de-a holds other dealings than this transcript"
    for name in HONEST:
        assert network[name].ceremonies.shares.generations() == ()
        assert network[name].journal() == []


def test_two_seats_shown_to_two_registries_come_to_nothing(network: Network) -> None:
    proposal, friend = two_faced(network, passes_on=True)
    friend.sit("de-a")
    friend.sit("de-b")
    assert len({part.key for part in friend.faces.values()}) == 2

    ends = stopped(network, proposal, friend)

    assert {str(end) for end in ends.values()} == {
        "de-c signed two different seats of one ceremony"
    }


def test_what_the_platform_changes_on_the_way_is_passed_over(network: Network) -> None:
    # Everything is doubled, with one bit turned; the changed copy comes first.
    leave = network.platform.leave

    def doubled(topic: bytes, sender: str, kind: str, content: bytes) -> None:
        if kind != "proposal":
            leave(topic, sender, kind, content[:-1] + bytes([content[-1] ^ 1]))
        leave(topic, sender, kind, content)

    network.platform.leave = doubled  # type: ignore[method-assign]

    network.agreed(network["de-a"].propose(*NAMES))


def test_a_sub_share_that_is_changed_and_not_doubled_stops_the_ceremony_and_convicts_nobody(
    network: Network,
) -> None:
    proposal = network["de-a"].propose(*NAMES)
    leave = network.platform.leave

    def changed(topic: bytes, sender: str, kind: str, content: bytes) -> None:
        if (sender, kind) == ("de-b", "sub-share"):
            content = content[:-1] + bytes([content[-1] ^ 1])
        leave(topic, sender, kind, content)

    network.platform.leave = changed  # type: ignore[method-assign]
    ends = network.together(proposal, patience_s=0.5)

    assert "the sub-shares of de-b for de-a" in str(ends["de-a"])
    assert all(isinstance(end, SessionError) for end in ends.values())
    network.platform.leave = leave  # type: ignore[method-assign]
    network.agreed(proposal)


def test_the_platform_puts_its_own_key_into_nobodys_seat(network: Network) -> None:
    # It would read the sub-shares to de-b. The seat is signed, so de-b's is awaited.
    proposal = network["de-a"].propose(*NAMES)
    leave = network.platform.leave

    def seated(topic: bytes, sender: str, kind: str, content: bytes) -> None:
        if (sender, kind) == ("de-b", "seat"):
            at = anchor().certify_at(proposal.time)
            seat = Seat.from_bytes(content, proposal=proposal, certify=at)
            content = bytes(replace(seat, key=secrets.token_bytes(32)))
        leave(topic, sender, kind, content)

    network.platform.leave = seated  # type: ignore[method-assign]
    ends = network.together(proposal, patience_s=0.5)

    assert "for the seats of de-b" in str(ends["de-a"])
    assert network.platform.said("dealing") == []


def test_a_stalled_member_is_named_and_the_others_keep_what_they_had(network: Network) -> None:
    first = network.agreed(network["de-a"].propose(*NAMES))
    proposal = network["de-a"].propose(*NAMES)

    ends = network.together(proposal, *HONEST, patience_s=0.4)

    assert "waited 0.4 s for the seats of de-c" in str(ends["de-a"])
    for name in HONEST:
        network[name].ceremonies.shares.load(first)


def test_a_member_that_confirms_something_else_is_named(network: Network) -> None:
    proposal = network["de-a"].propose(*NAMES)
    friend = Friend(network.platform, proposal)
    friend.sit("de-c")
    for _ in zip(range(20), rounds(network, proposal, friend), strict=False):
        said = [kind for kind, _ in friend.faces["de-c"].papers]
        if "report" in said and network.platform.said("confirmation"):
            break
    papers = network.platform.topics[proposal.topic]
    papers[:] = [p for p in papers if (p.sender, p.kind) != ("de-c", "confirmation")]
    ceremony = read_ceremony(
        proposal,
        papers,
        previous=None,
        group=anchor().group,
        certify_at=anchor().certify_at,
    ).ceremony
    assert ceremony is not None
    lie = Signed.by("de-c", ceremony, Kind.CONFIRMATION, b"another", sign=identity("de-c").sign)
    network.platform.leave(proposal.topic, "de-c", "confirmation", bytes(lie))

    ends = dict(network.together(proposal, *HONEST, patience_s=0.5))

    assert {str(end) for end in ends.values()} == {"de-c confirms another outcome of the ceremony"}


def test_three_registries_with_a_key_of_their_own_reach_only_who_never_saw_the_key(
    network: Network, tmp_path: Path
) -> None:
    key = network.agreed(network["de-a"].propose(*NAMES))
    network["fr-a"].ceremonies.committees()
    rivals = Network(tmp_path / "elsewhere", "de-c", "fr-b", "lu-a", "fr-a", "de-a")
    rival = rivals.agreed(rivals["de-c"].propose("de-c", "fr-b", "lu-a"))
    both = {**rivals.platform.topics, **network.platform.topics}  # theirs is shown as the oldest

    network.platform.topics = both
    assert network["de-a"].ceremonies.committees()[0].digest == key.digest
    assert network["fr-a"].ceremonies.committees()[0].digest == key.digest

    # fr-b never looked. What it takes is the rivals', unless it was told the fingerprint.
    network["fr-b"].folder.mkdir(parents=True)
    (network["fr-b"].folder / "key.pin").write_text(f"{fingerprint(key)}\n")
    assert network["fr-b"].ceremonies.committees()[0].digest == key.digest
    (network["fr-b"].folder / "key.pin").unlink()
    assert network["fr-b"].ceremonies.committees()[0].digest == rival.digest

    network.platform.topics = rivals.platform.topics  # and the true one is withheld
    with pytest.raises(ConfigError, match="does not show the network's key"):
        network["fr-a"].ceremonies.committees()


def secret_of(committee: Committee, places: dict[int, int]) -> bool:
    """Whether these values of a polynomial interpolate to the master secret."""
    weights = lagrange(sorted(places))
    value = sum(w * places[place] for w, place in zip(weights, sorted(places), strict=True))
    return committee.group.g2 * (value % ORDER) == committee.commitments[0]


def test_a_stolen_old_share_and_a_stolen_new_one_are_one_share_each(network: Network) -> None:
    first = network.agreed(network["de-a"].propose(*NAMES))
    stolen = network["de-a"].ceremonies.shares.load(first).master
    second = network.agreed(network["de-a"].propose(*NAMES))
    new = {
        second.place(name): network[name].ceremonies.shares.load(second).master for name in NAMES
    }

    assert secret_of(second, {place: new[place] for place in (1, 2)})
    assert not secret_of(second, {1: stolen, 2: new[2]})
    assert not secret_of(second, {1: stolen, 3: new[3]})


def test_who_steals_a_registrys_long_lived_key_later_opens_no_sub_share(network: Network) -> None:
    proposal = network["de-a"].propose(*NAMES)
    network.agreed(proposal)
    sealed = [
        SealedSubShare.from_bytes(paper.content)
        for paper in network.platform.topics[proposal.topic]
        if paper.kind == "sub-share"
    ]
    at = anchor().certify_at(proposal.time)
    keys = {
        Seat.from_bytes(paper.content, proposal=proposal, certify=at).key
        for paper in network.platform.topics[proposal.topic]
        if paper.kind == "seat"
    }

    # Each seat has a key of its own, which is no longer in any folder.
    assert len(sealed) == 9
    assert len(keys) == 3
    for name in NAMES:
        assert network[name].secrets() == ["share-1.key"]
