"""Ceremonies at registries: to their end, through crashes, and refused in one line."""

import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hall import NAMES, NOW, identity
from halls import Network

from upcare_mpc.access.committees import fingerprint
from upcare_mpc.access.participant import Part
from upcare_mpc.authority.participation import Parts
from upcare_mpc.errors import ConfigError, InputError, LinkError, RefusedError, SessionError
from upcare_mpc.link.board import Paper


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path, "de-a", "de-b", "de-c", "fr-a", "fr-b")


def test_three_registries_make_the_key_and_each_has_its_share(network: Network) -> None:
    proposal = network["de-a"].propose(*NAMES)

    committee = network.agreed(proposal)

    for name in NAMES:
        registry = network[name]
        registry.ceremonies.shares.load(committee).check(committee)
        assert registry.secrets() == ["share-1.key"]
        assert (registry.folder / "key.pin").read_text().strip() == fingerprint(committee)
        (entry,) = registry.journal()
        assert entry.fields() == {
            "generation": 1,
            "committee": committee.digest.hex(),
            "members": list(NAMES),
            "threshold": 1,
            "disqualified": [],
        }
    assert network["fr-a"].ceremonies.committees()[-1].digest == committee.digest


def test_secrets_are_readable_by_their_owner_alone(network: Network) -> None:
    network.agreed(network["de-a"].propose(*NAMES))
    second = network["de-a"].propose(*NAMES)
    network.together(second, "de-a", patience_s=0.0)

    folder = network["de-a"].folder
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert modes[f"ceremony-{second.topic.hex()}.secret"] == 0o600
    assert modes["share-1.key"] == 0o600


def test_no_secret_is_in_the_database_in_a_word_or_on_the_board(network: Network) -> None:
    proposal = network["de-a"].propose(*NAMES)
    committee = network.agreed(proposal)
    share = network["de-a"].ceremonies.shares.load(committee)
    database = b"".join(
        path.read_bytes() for path in network["de-a"].folder.parent.parent.glob("de-a.db*")
    )
    board = b"".join(p.content for p in network.platform.topics[proposal.topic])
    words = "\n".join(network["de-a"].told).encode()

    for secret in (share.master.to_bytes(32), share.binding.to_bytes(32), share.seed):
        for where in (database, board, words):
            assert secret not in where
            assert secret.hex().encode() not in where


def test_a_refresh_keeps_the_key_and_erases_the_old_shares(network: Network) -> None:
    first = network.agreed(network["de-a"].propose(*NAMES))

    second = network.agreed(network["de-b"].propose(*NAMES))

    assert second.generation == 2
    assert fingerprint(second) == fingerprint(first)
    for name in NAMES:
        assert network[name].secrets() == ["share-2.key"]
        assert [entry.fields()["generation"] for entry in network[name].journal()] == [1, 2]


def test_one_leaves_and_one_joins(network: Network) -> None:
    first = network.agreed(network["de-a"].propose(*NAMES))

    second = network.agreed(network["de-a"].propose("de-a", "de-b", "fr-a"))

    assert fingerprint(second) == fingerprint(first)
    assert network["de-c"].secrets() == []
    assert network["fr-a"].secrets() == ["share-2.key"]
    assert len(network["de-c"].journal()) == 2
    network["fr-a"].ceremonies.shares.load(second).check(second)


def test_a_member_that_cannot_be_reached_is_left_out_as_a_dealer(network: Network) -> None:
    network.agreed(network["de-a"].propose(*NAMES))

    proposal = network["de-a"].propose("de-a", "de-b", "fr-a", dealers=("de-a", "de-b"))
    second = network.agreed(proposal)

    assert proposal.participants == ("de-a", "de-b", "fr-a")
    assert second.members == ("de-a", "de-b", "fr-a")


# -- stopped and gone on with --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["seat", "dealing", "sub-share", "report", "confirmation"])
def test_whatever_the_platform_loses_the_ceremony_goes_on_with_later(
    network: Network, kind: str
) -> None:
    proposal = network["de-a"].propose(*NAMES)
    network.platform.takes = lambda sender, what: (sender, what) != ("de-b", kind)

    ends = network.together(proposal, patience_s=0.5)
    assert all(isinstance(end, SessionError) for end in ends.values()), ends
    assert f"waited 0.5 s for the {kind}s of de-b" in str(ends["de-a"])

    network.platform.takes = lambda sender, what: True
    committee = network.agreed(proposal)
    assert all(network[name].ceremonies.shares.load(committee) for name in NAMES)


def test_a_registry_that_is_stopped_anywhere_says_the_same_when_it_goes_on(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal = network["de-a"].propose(*NAMES)
    kept: list[Part] = []
    keep = Parts.keep

    class PowerCut(Exception):
        pass

    def keep_and_stop(parts: Parts, topic: bytes, part: Part) -> None:
        keep(parts, topic, part)
        if not kept or part != kept[-1]:
            kept.append(part)
            raise PowerCut  # on the disk, not posted

    for _ in range(4):  # seat, dealing, report, confirmation
        monkeypatch.setattr(Parts, "keep", keep_and_stop)
        with pytest.raises(PowerCut):
            network["de-a"].join(proposal.topic)
        monkeypatch.setattr(Parts, "keep", keep)
        network.together(proposal, "de-b", "de-c", patience_s=0.3)
        network.together(proposal, "de-a", patience_s=0.0)
        network.together(proposal, "de-b", "de-c", patience_s=0.3)
        if network["de-b"].secrets() == ["share-1.key"]:
            break

    committee = network.agreed(proposal)
    assert [len(part.papers) for part in kept][:2] == [1, 5]
    assert network.platform.said("dealing") == list(NAMES)  # one each
    network["de-a"].ceremonies.shares.load(committee)


def test_a_crash_at_the_end_loses_nothing_and_writes_nothing_twice(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = network.agreed(network["de-a"].propose(*NAMES))
    proposal = network["de-a"].propose(*NAMES)

    class PowerCut(Exception):
        pass

    def power_cut(*_: object) -> None:
        raise PowerCut

    with monkeypatch.context() as broken:
        broken.setattr("upcare_mpc.authority.shares.Shares.erase", power_cut)
        ends = network.together(proposal)
    assert all(isinstance(end, PowerCut) for end in ends.values())
    registry = network["de-a"]
    assert registry.secrets()[1:] == ["share-1.key", "share-2.key"]
    share = (registry.folder / "share-2.key").read_bytes()

    committee = network.agreed(proposal)

    assert registry.secrets() == ["share-2.key"]
    assert (registry.folder / "share-2.key").read_bytes() == share  # one seed for all time
    assert len(registry.journal()) == 2
    assert committee.generation == first.generation + 1


def test_to_join_again_when_it_is_over_says_what_came_of_it(network: Network) -> None:
    proposal = network["de-a"].propose(*NAMES)
    committee = network.agreed(proposal)

    assert network["de-a"].join(proposal.topic).digest == committee.digest


def test_a_short_cut_of_the_line_is_waited_out(network: Network) -> None:
    proposal = network["de-a"].propose(*NAMES)
    calls = iter(range(10_000))
    network.platform.cut = lambda name: name == "de-a" and 8 < next(calls) < 12

    network.agreed(proposal)


def test_a_platform_that_stays_away_ends_the_command(network: Network) -> None:
    proposal = network["de-a"].propose(*NAMES)
    network.together(proposal, "de-a", patience_s=0.0)
    calls = iter(range(10_000))
    network.platform.cut = lambda name: next(calls) > 8

    with pytest.raises(LinkError, match="cannot be reached"):
        network["de-a"].join(proposal.topic, patience_s=0.3)


def test_nothing_is_erased_before_everybody_has_confirmed(network: Network) -> None:
    network.agreed(network["de-a"].propose(*NAMES))
    proposal = network["de-a"].propose(*NAMES)
    network.platform.takes = lambda sender, kind: (sender, kind) != ("de-c", "confirmation")

    network.together(proposal, patience_s=0.5)

    for name in NAMES:
        assert network[name].secrets() == [
            f"ceremony-{proposal.topic.hex()}.secret",
            "share-1.key",
        ]


# -- refused -------------------------------------------------------------------------------------


def test_a_second_key_is_not_proposed_and_not_joined(network: Network) -> None:
    rival = network["fr-a"].propose("de-a", "fr-a", "fr-b")
    network.agreed(network["de-a"].propose(*NAMES))

    with pytest.raises(RefusedError, match="--hand-over passes it on"):
        network["de-a"].ceremonies.propose(members=NAMES, threshold=1, hand_over=False, dealers=())
    with pytest.raises(RefusedError, match="generation 1 already, by another ceremony"):
        network["de-a"].join(rival.topic)


def test_there_is_nothing_to_hand_over_before_there_is_a_key(network: Network) -> None:
    with pytest.raises(RefusedError, match="no key yet that could be handed over"):
        network["de-a"].ceremonies.propose(members=NAMES, threshold=1, hand_over=True, dealers=())


@pytest.mark.parametrize(
    ("dealers", "said"),
    [
        (("de-a",), "2 members of the committee in force deal, got 1"),
        (("de-a", "fr-a"), "fr-a is not in the committee in force and cannot deal"),
    ],
)
def test_dealers_that_cannot_hand_over(
    network: Network, dealers: tuple[str, ...], said: str
) -> None:
    network.agreed(network["de-a"].propose(*NAMES))

    with pytest.raises(InputError, match=said):
        network["de-a"].propose(*NAMES, dealers=dealers)


def test_a_proposal_of_another_day_is_not_joined_but_gone_on_with(network: Network) -> None:
    proposal = network["de-a"].propose(*NAMES)
    network.together(proposal, "de-a", "de-b", patience_s=0.0)
    for name in NAMES:
        network[name].now = NOW + timedelta(days=2)

    with pytest.raises(RefusedError, match="proposed at 2026-11-22 12:00 UTC; a registry joins"):
        network["de-c"].join(proposal.topic)
    with pytest.raises(SessionError, match="the seats of de-c"):
        network["de-a"].join(proposal.topic, patience_s=0.0)


def test_a_registry_sits_in_one_ceremony_until_it_gives_it_up(network: Network) -> None:
    first = network["de-a"].propose(*NAMES)
    network.together(first, "de-a", patience_s=0.0)
    second = network["de-b"].propose(*NAMES)

    with pytest.raises(RefusedError, match=f"takes part in the ceremony {first.topic.hex()[:12]}"):
        network["de-a"].join(second.topic)
    assert network["de-a"].ceremonies.abandon(first.topic.hex()[:8]) == first.topic.hex()
    network.agreed(second)


def test_a_seat_whose_secret_is_gone_is_not_taken_twice(network: Network) -> None:
    proposal = network["de-a"].propose(*NAMES)
    network.together(proposal, "de-a", patience_s=0.0)
    network["de-a"].ceremonies.abandon(proposal.topic.hex())

    with pytest.raises(RefusedError, match="took a seat in it before"):
        network["de-a"].join(proposal.topic)
    assert network.platform.said("seat") == ["de-a"]


def test_a_member_without_its_share_does_not_take_a_seat_to_deal(network: Network) -> None:
    network.agreed(network["de-a"].propose(*NAMES))
    network["de-b"].ceremonies.shares.erase(1)
    proposal = network["de-a"].propose(*NAMES)

    with pytest.raises(ConfigError, match="has no share of the key in generation 1"):
        network["de-b"].join(proposal.topic)
    assert network["de-b"].secrets() == []
    network.agreed(network["de-a"].propose(*NAMES, dealers=("de-a", "de-c")))
    assert network["de-b"].secrets() == ["share-2.key"]


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("xyz", "6 to 64 hexadecimal digits, got 'xyz'"),
        ("abc", "6 to 64 hexadecimal digits, got 'abc'"),
        ("0" * 12, "no ceremony on the board whose name begins with 000000000000"),
    ],
)
def test_a_name_that_is_none(network: Network, prefix: str, said: str) -> None:
    network["de-a"].propose(*NAMES)

    with pytest.raises(InputError, match=said):
        network["de-a"].ceremonies.find(prefix)


def test_who_is_not_asked_does_not_join(network: Network) -> None:
    proposal = network["de-a"].propose(*NAMES)

    with pytest.raises(InputError, match="de-a, de-b, de-c"):
        network["fr-a"].ceremonies.find(proposal.topic.hex())


def test_a_ceremony_of_another_network_is_none_here(network: Network) -> None:
    proposal = network["de-a"].propose(*NAMES)
    ours = identity("de-a")
    other = replace(proposal, network="another").signed(ours.certificate_pem, ours.sign)
    network.platform.leave(other.topic, "de-a", "proposal", bytes(other))

    with pytest.raises(InputError, match="is no ceremony of this network"):
        network["de-b"].ceremonies.find(other.topic.hex())
    assert [w.proposal for w in network["de-b"].ceremonies.waiting()] == [proposal]


def test_two_processes_do_not_go_through_ceremonies_on_one_folder(network: Network) -> None:
    proposal = network["de-a"].propose(*NAMES)

    with network["de-a"].ceremonies._alone(), pytest.raises(ConfigError, match="another process"):
        network["de-a"].join(proposal.topic)


# -- what waits ----------------------------------------------------------------------------------


def test_it_says_which_ceremonies_wait_for_a_registry(network: Network) -> None:
    proposal = network["de-a"].propose(*NAMES)
    network.together(proposal, "de-a", patience_s=0.0)

    (at_a,) = network["de-a"].ceremonies.waiting()
    (at_b,) = network["de-b"].ceremonies.waiting()

    assert (at_a.joined, at_a.waits_for) == (True, "the seats of de-b, de-c")
    assert (at_b.joined, at_b.waits_for) == (False, "the seats of de-c")
    assert network["fr-a"].ceremonies.waiting() == []
    network.agreed(proposal)
    assert network["de-a"].ceremonies.waiting() == []


def test_what_is_too_old_or_void_waits_for_nobody(network: Network) -> None:
    network["de-a"].propose(*NAMES)
    network["de-b"].now = NOW + timedelta(days=2)
    assert network["de-b"].ceremonies.waiting() == []

    network["de-b"].now = NOW
    network.agreed(network["de-a"].propose(*NAMES))
    assert network["de-c"].ceremonies.waiting() == []


def test_another_key_than_the_one_seen_first_is_refused(network: Network, tmp_path: Path) -> None:
    network.agreed(network["de-a"].propose(*NAMES))
    assert network["fr-a"].ceremonies.committees()  # sees it, and keeps it
    rivals = Network(tmp_path / "elsewhere", "de-a", "fr-b", "de-c")
    rivals.agreed(rivals["de-a"].propose("de-a", "de-c", "fr-b"))

    network.platform.topics = rivals.platform.topics

    with pytest.raises(ConfigError, match="does not show the network's key that is known here"):
        network["fr-a"].ceremonies.committees()


def test_what_the_board_loses_after_some_have_ended_is_posted_again(tmp_path: Path) -> None:
    """Old shares are erased by then: without the lost paper nobody could show the new ones' key."""
    network = Network(tmp_path, *NAMES)
    network.agreed(network["de-a"].propose(*NAMES))
    proposal = network["de-a"].propose(*NAMES)
    papers = network.platform.topics[proposal.topic]

    def hidden(reader: str, paper: Paper) -> bool:
        ours = (paper.kind, paper.sender) == ("confirmation", "de-a") and paper in papers
        return ours and reader == "de-c"

    network.platform.shows = lambda reader, paper: not hidden(reader, paper)
    ends = network.together(proposal, patience_s=4)
    assert isinstance(ends["de-c"], SessionError)
    assert network["de-a"].secrets() == network["de-b"].secrets() == ["share-2.key"]
    lost = next(p for p in papers if (p.kind, p.sender) == ("confirmation", "de-a"))
    papers[papers.index(lost)] = replace(lost, content=b"what a damaged disk gives")
    network.platform.shows = lambda reader, paper: True

    network.agreed(proposal)
    assert {tuple(network[name].secrets()) for name in NAMES} == {("share-2.key",)}
