"""A researcher's way to a key and to the sealed records that it opens.

    file_request -> (registries approve, members issue) -> collect_key -> fetch

The platform carries everything and is trusted with nothing: who approves and who issues is checked
by signatures, each fragment against its author's verification keys, the key against the network's
public key, each edition against the signature of the registry, by the certificate under which it
approved. The platform learns what it carries, and which groups and blocks of a vault are fetched;
it opens none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import RandomBytes
from upcare_mpc.abe.issuance import Fragment, combine, verify_fragment
from upcare_mpc.abe.keys import AttributeKey
from upcare_mpc.abe.request import Request
from upcare_mpc.abe.scheme import verify_key
from upcare_mpc.access.application import Application, attributes_of
from upcare_mpc.access.papers import (
    Filing,
    SealedFragment,
    SignedApproval,
    filing_statement,
    requester_of,
)
from upcare_mpc.access.sealing import unseal
from upcare_mpc.access.topic import Topic, read_topic
from upcare_mpc.client.opened_records import groups_of
from upcare_mpc.client.request_folder import (
    Fetched,
    RequestFolder,
    keep_seen,
    last_seen,
    requests_in,
)
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.errors import ProtocolError, RefusedError
from upcare_mpc.link.board import ResearcherBoard
from upcare_mpc.link.certificates import Network
from upcare_mpc.link.signers import certifier
from upcare_mpc.link.vaults import FetchedVault
from upcare_mpc.vault.edition import HEAD, Edition
from upcare_mpc.vault.encoding import name_of
from upcare_mpc.vault.opening import Verify, check_head, open_group
from upcare_mpc.vault.store import LARGEST, Folder, Store

__all__ = ["Collected", "Mirror", "collect_key", "fetch", "file_request", "read_topic_of"]

OLDEST: Final = timedelta(days=3)
"""How old the edition of a registry may be; they publish every day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What came of the fragments on a topic.

    Attributes:
        key: Secret; None while there are too few good fragments.
        good: Authors of good ones.
        bad: One line for each that is not, with its author.
    """

    key: AttributeKey | None
    good: tuple[str, ...]
    bad: tuple[str, ...]


def file_request(
    researcher: Researcher,
    folder: Path,
    application: Application,
    committee: Committee,
    board: ResearcherBoard,
    *,
    not_after: datetime,
    now: datetime,
) -> tuple[RequestFolder, bool]:
    """File a request, or file again the one for this application that is in force.

    Args:
        researcher: Who asks.
        folder: Her folder.
        application: What for.
        committee: The present one.
        board: Where.
        not_after: Until when registries may issue, UTC.
        now: UTC.

    Returns:
        The request, and whether it is new.

    Raises:
        RefusedError: The platform says no.
        LinkError: It cannot be reached; say the same again.
    """
    for known in requests_in(folder):
        same = known.application.is_like(application) and known.committee.digest == committee.digest
        if same and known.filing.request.not_after > now.timestamp():
            board.file(bytes(known.filing))
            return known, False
    request = Request(
        network=committee.network,
        committee=committee.digest,
        epoch=application.epoch,
        project=application.project,
        requester=requester_of(researcher.signing_key),
        sealing_key=researcher.sealing_key,
        nonce=application.nonce,
        not_after=int(not_after.timestamp()),
        attributes=attributes_of(application),
    )
    filing = Filing(
        request=request,
        application=application,
        key=researcher.signing_key,
        signature=researcher.signing.sign(filing_statement(request)),
    )
    asked = RequestFolder.make(folder, filing, committee)
    board.file(bytes(filing))
    return asked, True


def read_topic_of(researcher: Researcher, asked: RequestFolder, *, now: datetime) -> Topic:
    """Read what is on the board about a request.

    Raises:
        RefusedError, LinkError: The platform says no, or cannot be reached.
    """
    certify = certifier(researcher.network, now=now)
    with ResearcherBoard(researcher.platform, researcher.network, researcher.signing) as board:
        return read_topic(board.follow(asked.digest), request=asked.digest, certify=certify)


def collect_key(
    researcher: Researcher, asked: RequestFolder, topic: Topic, random: RandomBytes
) -> Collected:
    """Open the fragments, check each, and make the key if there are enough; it is not kept here.

    Cost: for each fragment as ``issuance.verify_fragment``; once as ``scheme.verify_key``.
    """
    request, committee = asked.filing.request, asked.committee
    good: dict[str, Fragment] = {}
    bad = []
    for author, paper in sorted(topic.fragments.items()):
        try:
            good[author] = _fragment(researcher, asked, paper, random)
        except ProtocolError as error:
            bad.append(f"the fragment of {author} is left out: {error}")
    key = None
    if len(good) > committee.threshold:
        key = combine(committee, request, list(good.values()))
        verify_key(committee.group, key, committee.public.element, random)
    return Collected(key=key, good=tuple(good), bad=tuple(bad))


def fetch(
    researcher: Researcher,
    folder: Path,
    asked: RequestFolder,
    topic: Topic,
    key: AttributeKey,
    *,
    now: datetime,
    tell: Callable[[str], None],
) -> None:
    """Fetch what the key opens at each registry, and see that it opens.

    Args:
        researcher: Who asks.
        folder: Her folder.
        asked: The request.
        topic: With the approvals of its registries.
        key: Of the request. Secret.
        now: UTC.
        tell: Called with one line a registry.

    Raises:
        RefusedError: The platform says no; or a registry's approval, or its edition of the right
            month, is not there.
        ProtocolError: What the platform gives is not what a registry signed, or does not open.
        LinkError: The platform cannot be reached. What has arrived stays.
    """
    fetched = dict(asked.fetched() or {})
    for registry in asked.application.registries:
        approval = topic.approvals.get(registry)
        if approval is None:
            raise RefusedError(f"the approval of {registry} is not on the board")
        with FetchedVault(
            researcher.platform,
            researcher.network,
            researcher.signing,
            request=asked.digest,
            registry=registry,
        ) as remote:
            edition, seen = check_head(
                remote.head,
                registry=registry,
                verify=_signed_by(researcher.network, approval, now=now),
                earliest=now.date() - OLDEST,
                seen=last_seen(folder, registry),
            )
            keep_seen(folder, registry, seen)
            groups, tumours = _mirror(asked, edition, remote, remote.head, key)
        fetched[registry] = Fetched(edition=edition.sequence, day=edition.day)
        asked.keep_fetched(fetched)
        tell(
            f"{registry}: edition {edition.sequence} of {edition.day}, {tumours} tumours in "
            f"{groups} of {len(edition.groups)} groups"
        )


class Mirror:
    """A store that takes from a folder what is there, and the rest from elsewhere, for good."""

    def __init__(self, local: Folder, remote: Store) -> None:
        self._local = local
        self._remote = remote
        self.used: set[str] = set()

    def get(self, name: str, *, at_most: int) -> bytes | None:
        """As ``Store`` says. What is not what its name says is handed on, and not kept."""
        self.used.add(name)
        content = self._local.get(name, at_most=at_most)
        if content is None:
            content = self._remote.get(name, at_most=at_most)
            if content is not None and any(name_of(kind, content) == name for kind in LARGEST):
                self._local.put(name, content)
        return content

    def put(self, name: str, content: bytes) -> None:
        """As ``Store`` says, here."""
        self.used.add(name)
        self._local.put(name, content)

    def delete(self, name: str) -> None:
        """As ``Store`` says, here."""
        self._local.delete(name)

    def names(self) -> list[str]:
        """As ``Store`` says, here."""
        return self._local.names()

    def settle(self) -> None:
        """As ``Store`` says, here."""
        self._local.settle()


def _signed_by(network: Network, approval: SignedApproval, *, now: datetime) -> Verify:
    """Return the check of what a registry signs, by the certificate under which it approved."""
    certify = certifier(network, now=now)

    def verify(statement: bytes, signature: bytes) -> None:
        certify(approval.certificate, statement, signature)  # the paper has shown whose it is

    return verify


def _mirror(
    asked: RequestFolder, edition: Edition, remote: Store, head: bytes, key: AttributeKey
) -> tuple[int, int]:
    """Fetch and open all groups that the key opens; return how many, and how many tumours."""
    mirror = Mirror(asked.vault(edition.registry), remote)
    roots = groups_of(edition, asked.application.epoch, key)
    tumours = 0
    for root in roots:
        for batch in open_group(asked.committee.public, key, mirror, root):
            tumours += batch.num_rows
        mirror.settle()
    mirror.put(HEAD, head)
    for name in set(mirror.names()) - mirror.used:  # of an older edition
        mirror.delete(name)
    mirror.settle()
    return len(roots), tumours


def _fragment(
    researcher: Researcher, asked: RequestFolder, paper: SealedFragment, random: RandomBytes
) -> Fragment:
    """Open a fragment and check it against its author's verification keys."""
    request, committee = asked.filing.request, asked.committee
    opened = unseal(
        paper.sealed,
        researcher.sealing,
        use="fragment",
        digest=request.digest,
        names=(paper.author,),
    )
    fragment = Fragment.from_bytes(committee.group, opened)
    if (fragment.author, fragment.randomness) != (paper.author, paper.randomness):
        raise ProtocolError("what is sealed is not what the paper says")
    verify_fragment(committee, request, fragment, random)
    return fragment
