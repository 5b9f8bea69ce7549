"""Story: the platform keeps yesterday's vault, and shows it when it suits.

Every byte that a researcher gets comes from the platform, which has seen every edition of every
registry and can keep them all. A patient withdraws on Tuesday. The platform would like the world to
stay as it was on Monday: for one reader, for all, or in parts. It is not trusted with this: a
reader goes by the sequence number that she saw last and by the day that it is, under the registry's
signature, and takes no object that the edition does not name.

What stays possible, and is shown at the end: within the days that a reader accepts, a platform can
keep one who has never come before on an older edition. It cannot mix two.

Here are the real platform, over TLS, with its folder in the attacker's hands, and a real reader.
"""

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from served_platform import ServedPlatform, filed
from vault_world import HMB, PUBLIC, REFUSAL, World, policy, reader

from upcare_mpc.errors import ProtocolError, RefusedError
from upcare_mpc.link.certificates import Identity, verify_signature
from upcare_mpc.link.vaults import FetchedVault, KeptVault
from upcare_mpc.vault.edition import HEAD, Root
from upcare_mpc.vault.opening import Seen, check_head, open_group
from upcare_mpc.vault.store import copy

MONDAY, TUESDAY = date(2026, 11, 2), date(2026, 11, 3)
WITHDRAWN = 7


class Story:
    """A registry, the platform that holds its vault, and a researcher whose request it approved."""

    def __init__(self, folder: Path, platform: ServedPlatform) -> None:
        self.platform = platform
        self.identity = platform.admit("de-a")
        self.signing = Ed25519PrivateKey.generate()
        self.world = World(folder)
        self.world.sign = self.identity.sign  # type: ignore[method-assign]
        self.world.verify = self.verify  # type: ignore[method-assign]
        self.folder = platform.vaults / "de-a"
        self.stolen = folder / "monday"
        with platform.of_researcher(self.signing) as board:
            self.request = board.file(bytes(filed(self.signing)))
        with platform.of_registry(self.identity) as board:
            board.post(self.request, "approval", b"yes")

    def verify(self, said: bytes, signature: bytes) -> None:
        certificate = x509.load_pem_x509_certificate(self.identity.certificate_pem)
        verify_signature(certificate, said, signature)

    def bring(self) -> None:
        """What the registry publishes goes to the platform."""
        with self.kept(self.identity) as vault:
            copy(self.world.store, vault)

    def kept(self, identity: Identity) -> KeptVault:
        return self.platform.kept_by(identity)

    def monday(self) -> None:
        self.world.publish(*(self.world.change(n) for n in range(100)), day=MONDAY)  # two blocks
        self.bring()
        shutil.copytree(self.folder, self.stolen)  # the platform remembers

    def tuesday(self) -> None:
        self.world.publish(self.world.change(WITHDRAWN, None), day=TUESDAY)
        self.bring()

    def put_back(self, *, head: bool, objects: bool) -> None:
        """The platform lays what it kept over what it holds."""
        for path in self.stolen.iterdir():
            if head if path.name == HEAD else objects:
                shutil.copy(path, self.folder / path.name)

    def fetch(self) -> FetchedVault:
        return self.platform.fetched_by(self.signing, self.request)

    def check(self, head: bytes, *, earliest: date, seen: Seen | None) -> tuple[Root, Seen]:
        edition, now = check_head(
            head, registry="de-a", verify=self.verify, earliest=earliest, seen=seen
        )
        wanted = policy(HMB, day=edition.day)
        return next(root for root in edition.groups if root.place.policy == wanted), now

    def patients(self, vault: FetchedVault, root: Root) -> list[int]:
        batches = open_group(PUBLIC, reader(root, HMB), vault, root)
        return sorted(
            days - 1000 for batch in batches for days in batch["follow_up_days"].to_pylist()
        )


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    (tmp_path / "platform").mkdir()
    with ServedPlatform(tmp_path / "platform") as platform:
        story = Story(tmp_path, platform)
        story.monday()
        yield story


def test_an_honest_platform_shows_tuesday(story: Story) -> None:
    with story.fetch() as vault:
        root, seen = story.check(vault.head, earliest=MONDAY, seen=None)
        assert story.patients(vault, root) == list(range(100))
    story.tuesday()
    with story.fetch() as vault:
        root, _ = story.check(vault.head, earliest=TUESDAY, seen=seen)
        assert story.patients(vault, root) == [n for n in range(100) if n != WITHDRAWN]


def test_who_has_seen_tuesday_is_not_shown_monday(story: Story) -> None:
    story.tuesday()
    with story.fetch() as vault:
        _, seen = story.check(vault.head, earliest=MONDAY, seen=None)
    story.put_back(head=True, objects=True)

    with story.fetch() as vault, pytest.raises(ProtocolError, match="the vault of de-a goes back"):
        story.check(vault.head, earliest=MONDAY, seen=seen)


def test_who_knows_what_day_it_is_is_not_shown_monday(story: Story) -> None:
    story.tuesday()
    story.put_back(head=True, objects=True)

    with story.fetch() as vault, pytest.raises(ProtocolError, match="of 2026-11-03 or later"):
        story.check(vault.head, earliest=TUESDAY, seen=None)


def test_mondays_objects_under_tuesdays_head_are_not_looked_at(story: Story) -> None:
    story.tuesday()
    story.put_back(head=False, objects=True)  # all there, but nothing of today names them

    with story.fetch() as vault:
        root, _ = story.check(vault.head, earliest=TUESDAY, seen=None)
        assert WITHDRAWN not in story.patients(vault, root)


def test_mondays_object_in_the_place_of_tuesdays_is_refused(story: Story) -> None:
    monday = {path.name for path in story.stolen.iterdir()} - {HEAD}
    story.tuesday()
    today = {path.name for path in story.folder.iterdir()} - {HEAD}
    assert monday - today
    assert today - monday
    with story.fetch() as vault:
        root, _ = story.check(vault.head, earliest=TUESDAY, seen=None)
        for new in today - monday:
            right = (story.folder / new).read_bytes()
            for old in monday - today:
                shutil.copy(story.stolen / old, story.folder / new)
                with pytest.raises(ProtocolError, match=f"^{REFUSAL}$"):
                    story.patients(vault, root)
            (story.folder / new).write_bytes(right)
        assert WITHDRAWN not in story.patients(vault, root)


def test_mondays_head_over_tuesdays_objects_does_not_open(story: Story) -> None:
    story.tuesday()
    story.put_back(head=True, objects=False)

    with story.fetch() as vault:
        root, _ = story.check(vault.head, earliest=MONDAY, seen=None)
        with pytest.raises(ProtocolError, match=f"^{REFUSAL}$"):
            story.patients(vault, root)


def test_a_vault_that_is_replaced_while_it_is_read_does_not_open_and_the_next_one_does(
    story: Story,
) -> None:
    with story.fetch() as vault:
        root, _ = story.check(vault.head, earliest=MONDAY, seen=None)
        story.tuesday()
        with pytest.raises(ProtocolError, match=f"^{REFUSAL}$"):
            story.patients(vault, root)
    with story.fetch() as vault:
        root, _ = story.check(vault.head, earliest=MONDAY, seen=None)
        assert WITHDRAWN not in story.patients(vault, root)


def test_the_registrys_head_does_not_go_back_by_a_mistake_of_its_own(story: Story) -> None:
    monday = (story.stolen / HEAD).read_bytes()
    story.tuesday()
    with story.kept(story.identity) as vault, pytest.raises(RefusedError, match="is older"):
        vault.put(HEAD, monday)


def test_a_newcomer_can_be_kept_on_monday_while_she_accepts_it(story: Story) -> None:
    # The limit: no signature says that there is no newer one. Whoever accepts editions of the last
    # days can be held back by so many days, and by no more.
    story.tuesday()
    story.put_back(head=True, objects=True)

    with story.fetch() as vault:
        root, _ = story.check(vault.head, earliest=MONDAY, seen=None)
        assert WITHDRAWN in story.patients(vault, root)
