"""From fragments to a key, from the key to fetched records: what is believed and what is not."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from applications import NOW, application, identity
from desks import committee
from opened_world import COMMITTEE, DAY, DS, HMB, REFUSAL, World

from upcare_mpc.abe.issuance import Fragment, issue
from upcare_mpc.access.papers import SealedFragment, fragment_statement
from upcare_mpc.access.sealing import seal
from upcare_mpc.client import access
from upcare_mpc.client.opened_records import open_records
from upcare_mpc.client.request_folder import RequestFolder, last_seen
from upcare_mpc.errors import InputError, ProtocolError, RefusedError
from upcare_mpc.vault.edition import HEAD


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    monkeypatch.setattr(access, "FetchedVault", world.platform.vault)
    return world


def sealed_by(world: World, author: str, fragment: Fragment, **changes: bytes) -> None:
    """Lay a fragment on the topic, sealed and signed as the author would."""
    digest = world.asked.digest
    recipient = world.researcher.sealing_key
    said = {
        "sealed": seal(bytes(fragment), recipient, use="fragment", digest=digest, names=(author,)),
        "randomness": fragment.randomness,
    } | changes
    signer = identity(author)
    paper = SealedFragment(
        author=author,
        request=digest,
        signature=signer.sign(
            fragment_statement(digest, author, said["randomness"], said["sealed"])
        ),
        certificate=signer.certificate_pem,
        **said,
    )
    world.board.leave(digest, author, "fragment", bytes(paper))


def own(world: World, author: str = "de-c") -> Fragment:
    return issue(committee()[1][author], COMMITTEE, world.asked.filing.request)


def test_too_few_fragments_are_no_key(world: World) -> None:
    world.grant("de-a")

    collected = world.collect()
    assert (collected.key, collected.good, collected.bad) == (None, ("de-a",), ())


def test_the_key_is_kept_for_its_request_alone(world: World) -> None:
    world.grant()
    key = world.collect().key
    assert key is not None
    world.asked.keep_key(key)

    again = RequestFolder.find(world.folder, world.asked.digest.hex()[:12])
    kept = again.key()
    assert kept is not None
    assert bytes(kept) == bytes(key)
    assert (again.path / "key").stat().st_mode & 0o777 == 0o600
    assert again.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "other", [{"title": "Another"}, {"epoch": "2026-12"}, {"project": "p-18"}], ids=str
)
def test_a_key_of_another_request_is_not_used(world: World, other: dict[str, str]) -> None:
    """Another epoch, another project, or only another request: its file is not this one's."""
    world.grant()
    key = world.collect().key
    assert key is not None
    world.asked.keep_key(key)
    second = world.file(application(**other))
    (second.path / "key").write_bytes((world.asked.path / "key").read_bytes())

    with pytest.raises(ProtocolError, match=REFUSAL):
        second.key()


def test_a_bad_fragment_is_named_and_left_out(world: World) -> None:
    world.grant("de-a", "de-b")
    good = own(world)
    point = COMMITTEE.group.g1 * 7
    sealed_by(world, "de-c", replace(good, part=replace(good.part, sk1=good.part.sk1 + point)))

    collected = world.collect()
    assert collected.key is not None
    assert collected.good == ("de-a", "de-b")
    (line,) = collected.bad
    assert line == (
        "the fragment of de-c is left out: the fragment of de-c does not fit its verification keys"
    )


def test_fragments_that_are_not_what_their_paper_says(world: World) -> None:
    digest, good = world.asked.digest, own(world)
    sealed_by(world, "de-a", good)  # de-c's fragment in de-a's name
    sealed_by(world, "de-b", own(world, "de-b"), randomness=bytes(32))
    sealed_by(world, "de-c", good, sealed=b"\1" + bytes(80))

    assert set(world.board.read(digest).fragments) == {"de-a", "de-b", "de-c"}
    assert [line.split(": ", 1)[1] for line in world.collect().bad] == [
        "what is sealed is not what the paper says",
        "what is sealed is not what the paper says",
        "the sealed fragment of de-c does not open",
    ]


def test_a_fragment_of_somebody_outside_the_committee(world: World) -> None:
    world.grant("de-a")
    sealed_by(world, "fr-a", replace(own(world), author="fr-a"))

    collected = world.collect()
    assert collected.key is None
    assert collected.bad == (
        "the fragment of fr-a is left out: 'fr-a' is not a member of the committee",
    )


def test_fragments_of_two_requests_are_not_combined(world: World) -> None:
    """de-b's fragment of another request of hers, sealed anew as if for this one."""
    world.grant("de-a")
    second = world.file(application(title="Another"))
    other = issue(committee()[1]["de-b"], COMMITTEE, second.filing.request)
    sealed_by(world, "de-b", other)
    sealed_by(world, "de-c", replace(other, author="de-c", request=world.asked.digest))

    collected = world.collect()
    assert (collected.key, collected.good) == (None, ("de-a",))
    assert [line.split(": ", 1)[1] for line in collected.bad] == [
        "the fragment of de-b is for another request",
        "the fragment of de-c does not fit its verification keys",
    ]


def test_fetches_what_the_key_opens_and_nothing_else(world: World) -> None:
    world.publish("de-a", {1: DS, 2: HMB, 3: "use:irb", 4: "and(use:hmb,use:genetic)"})
    world.publish("de-b", {1: "use:genetic"})
    world.grant()

    assert world.fetch() == [
        f"de-a: edition 1 of {DAY}, 3 tumours in 3 of 4 groups",
        f"de-b: edition 1 of {DAY}, 0 tumours in 0 of 1 groups",
    ]
    assert {registry for registry, _ in world.platform.fetched} == {"de-a"}


def test_what_is_here_is_not_fetched_again(world: World) -> None:
    world.publish("de-a", {1: DS, 2: HMB})
    world.publish("de-b", {1: DS})
    world.grant()
    world.fetch()
    first = list(world.platform.fetched)
    assert len(set(first)) == len(first)
    world.fetch()

    assert world.platform.fetched == first


def test_who_has_withdrawn_is_gone_from_the_folder(world: World) -> None:
    world.publish("de-a", {1: DS, 2: DS})
    world.publish("de-b", {})
    world.grant()
    world.fetch()
    before = set(world.asked.vault("de-a").names())
    world.publish("de-a", {2: None}, day=DAY + timedelta(days=1))
    told = world.fetch(now=NOW + timedelta(days=1))

    assert told[0].startswith("de-a: edition 2 of")
    assert ", 1 tumours in" in told[0]
    after = set(world.asked.vault("de-a").names())
    named = set(world.platform.stores["de-a"].names())
    assert after <= named
    assert before - named
    assert not (before - named) & after


def test_an_older_edition_than_one_seen_is_refused(world: World) -> None:
    world.publish("de-a", {1: DS})
    world.publish("de-b", {})
    old = dict(world.platform.stores["de-a"].objects)
    world.publish("de-a", {1: None}, day=DAY + timedelta(days=1))
    world.grant()
    world.fetch(now=NOW + timedelta(days=1))
    world.platform.stores["de-a"].objects = old

    with pytest.raises(ProtocolError, match="the vault of de-a goes back"):
        world.fetch(now=NOW + timedelta(days=1))
    seen = last_seen(world.folder, "de-a")
    assert seen is not None
    assert seen.sequence == 2


def test_an_edition_that_is_days_old_is_refused(world: World) -> None:
    world.publish("de-a", {1: DS}, day=DAY - timedelta(days=4))
    world.publish("de-b", {})
    world.grant()

    with pytest.raises(ProtocolError, match="shows its edition of"):
        world.fetch()


def test_the_edition_of_another_month_is_told(world: World) -> None:
    later = DAY + timedelta(days=10)
    world.publish("de-a", {1: DS}, day=later)
    world.publish("de-b", {}, day=later)
    world.grant()

    with pytest.raises(RefusedError, match="sealed for 2026-12, and the key is for 2026-11"):
        world.fetch(now=NOW + timedelta(days=10))


def test_an_edition_signed_by_another_registry(world: World) -> None:
    world.publish("de-a", {1: DS})
    world.publish("de-b", {})
    world.grant()
    store = world.platform.stores
    store["de-a"], store["de-b"] = store["de-b"], store["de-a"]

    with pytest.raises(ProtocolError, match="the vault of de-a shows an edition of de-b"):
        world.fetch()


@pytest.mark.parametrize("which", ["altered", "swapped", "missing"])
def test_objects_that_are_not_what_their_names_say(world: World, which: str) -> None:
    world.publish("de-a", {1: DS, 2: HMB})
    world.publish("de-b", {})
    world.grant()
    objects = world.platform.stores["de-a"].objects
    names = [name for name in objects if name != HEAD]
    good = dict(objects)
    for at, name in enumerate(names):
        content = good[name]
        if which == "altered":
            objects[name] = content[:-1] + bytes([content[-1] ^ 1])
        elif which == "swapped":
            objects[name] = good[names[at - 1]]
        else:
            del objects[name]

    with pytest.raises(ProtocolError, match=REFUSAL):
        world.fetch()
    assert world.asked.fetched() is None
    world.platform.stores["de-a"].objects = good
    world.fetch()  # nothing of it was kept


def test_an_altered_object_is_not_kept_however_large_a_vault_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("upcare_mpc.vault.store._UNSETTLED_BYTES", 0)  # each put settles
    world.publish("de-a", {1: DS, 2: HMB})
    world.publish("de-b", {})
    world.grant()
    objects = world.platform.stores["de-a"].objects
    good = dict(objects)
    for name in good.keys() - {HEAD}:
        objects[name] = good[name][:-1] + bytes([good[name][-1] ^ 1])

    with pytest.raises(ProtocolError, match=REFUSAL):
        world.fetch()
    world.platform.stores["de-a"].objects = good
    world.fetch()


def test_a_registry_that_fails_takes_nothing_from_what_came_of_the_others(world: World) -> None:
    world.publish("de-a", {1: DS, 2: DS})
    world.publish("de-b", {1: DS})
    world.grant()
    world.fetch()
    world.publish("de-a", {2: None}, day=DAY + timedelta(days=1))
    store = world.platform.stores["de-b"]
    store.objects = {name: b"" if name == HEAD else store.objects[name] for name in store.objects}

    with pytest.raises(ProtocolError):
        world.fetch(now=NOW + timedelta(days=1))
    opened = open_records(world.asked, world.folder / "records.parquet").content
    assert [(one["name"], one["edition"], one["tumours"]) for one in opened["registries"]] == [
        ("de-a", 2, 1),
        ("de-b", 1, 1),
    ]


def test_a_registry_whose_approval_the_platform_withholds(world: World) -> None:
    world.publish("de-a", {1: DS})
    world.publish("de-b", {})
    world.grant()
    key = world.collect().key
    assert key is not None
    world.asked.keep_key(key)
    world.board.drop(world.asked.digest, "approval", "de-b")

    with pytest.raises(RefusedError, match="the approval of de-b is not on the board"):
        world.fetch()


def test_a_request_is_found_by_its_first_digits(world: World) -> None:
    digits = world.asked.digest.hex()

    assert RequestFolder.find(world.folder, digits[:6].upper()).digest == world.asked.digest
    with pytest.raises(InputError, match="6 digits of it or more"):
        RequestFolder.find(world.folder, digits[:5])
    with pytest.raises(InputError, match="no request here begins"):
        RequestFolder.find(world.folder, "../../etc/passwd")
    assert [path.name for path in (world.folder / "access").iterdir()] == [digits]
