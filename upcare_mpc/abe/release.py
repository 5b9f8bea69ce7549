"""Approve, then release: what one registry has agreed to, and which fragments have left it.

    approve ──> release       one of each for a request, in this order

A fragment leaves only if the registry itself has approved of the request, t + 1 members have, each
registry whose records the key is for has, the request is in force, and no fragment has left for it
before. Against t members that deviate: whatever they let out on their own, no honest member lets
out anything for a request that t + 1 registries have not signed, one honest among them at least.

The state is a fold over journal entries; other kinds in the chain are passed over. A rule checks
first and returns the event to write. Write it durably, with the sealed fragment, before the
fragment leaves: a crash costs a fragment, and never lets two out. Send again only the sealed bytes
that were stored. Pure: no clock, no storage.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.abe.issuance import Fragment, issue
from upcare_mpc.abe.request import Approval, Request, check_approvals, check_request
from upcare_mpc.abe.statements import Verify
from upcare_mpc.errors import PrivacyError, RefusedError
from upcare_mpc.journal import Entry, Event

__all__ = ["Releases", "Seen", "check_randomness"]

_APPROVE = "access.approve"
_RELEASE = "access.release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A release as a journal tells it to others.

    Attributes:
        registry: Whose fragment.
        request: Digest of the request.
        randomness: ``Fragment.randomness``.
    """

    registry: str
    request: bytes
    randomness: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """One registry's approvals and releases.

    Attributes:
        approved: Digests of requests that it approved of.
        released: Digest of a request to the randomness of the fragment that left for it.
    """

    approved: frozenset[bytes] = frozenset()
    released: Mapping[bytes, bytes] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Releases":
        """Fold a journal."""
        approved: set[bytes] = set()
        released: dict[bytes, bytes] = {}
        for entry in entries:
            if entry.kind == _APPROVE:
                approved.add(_bytes(entry, "request"))
            elif entry.kind == _RELEASE:
                released[_bytes(entry, "request")] = _bytes(entry, "randomness")
        return cls(approved=frozenset(approved), released=MappingProxyType(released))

    def approve(self, committee: Committee, request: Request, *, now: float) -> Event:
        """Approve of a request. Sign ``approval_statement`` once this is written.

        Args:
            committee: The present one.
            request: As it was shown to whom it is up to.
            now: Seconds since 1970, UTC.

        Raises:
            RefusedError: It is not for this committee, not in force, or approved of already.
        """
        check_request(committee, request, now=now)
        if request.digest in self.approved:
            raise RefusedError("this registry has approved of the request before")
        return Event(
            kind=_APPROVE,
            body={
                "request": request.digest.hex(),
                "requester": request.requester,
                "project": request.project,
                "epoch": request.epoch,
                "attributes": request.attributes,
            },
        )

    def release(
        self,
        committee: Committee,
        share: Share,
        request: Request,
        approvals: Sequence[Approval],
        *,
        verify: Verify,
        now: float,
    ) -> tuple[Fragment, Event]:
        """Make the one fragment of a request that may leave.

        Args:
            committee: The present one.
            share: The registry's. Secret.
            request: That it approved of.
            approvals: Of all that approve; its own among them or not.
            verify: Checks a registry's signature.
            now: Seconds since 1970, UTC.

        Returns:
            The fragment, to be sealed to ``request.sealing_key``; and the event, to be written
            before it leaves.

        Raises:
            RefusedError: The registry has not approved, has released before, or the request is not
                for this committee or not in force, or lacks approvals.
            ProtocolError: An approval is not what it should be.
            PrivacyError: The fragment has the randomness of an earlier one: the share's seed, or
                the journal, is not what it was.
        """
        check_request(committee, request, now=now)
        if request.digest not in self.approved:
            raise RefusedError("this registry has not approved of the request")
        if request.digest in self.released:
            raise RefusedError("this registry's fragment for the request has left before")
        check_approvals(committee, request, approvals, verify)
        fragment = issue(share, committee, request)
        if fragment.randomness in self.released.values():
            raise PrivacyError("the fragment would repeat the randomness of an earlier one")
        body = {"request": request.digest.hex(), "randomness": fragment.randomness.hex()}
        return fragment, Event(kind=_RELEASE, body=body)

    def seen(self, registry: str) -> tuple[Seen, ...]:
        """Return the releases of this journal, which is that of ``registry``, for others."""
        return tuple(
            Seen(registry=registry, request=request, randomness=randomness)
            for request, randomness in self.released.items()
        )


def check_randomness(releases: Iterable[Seen]) -> None:
    """Check over the releases of all registries that none used one r twice.

    What a release states is its author's word: an alarm, and no proof.

    If t + 1 registries did so for the same two requests, the two keys would pool their attributes;
    one that does not is enough to prevent it.

    Raises:
        PrivacyError: One did; the text names it.
    """
    first: dict[bytes, Seen] = {}
    for release in releases:
        before = first.setdefault(release.randomness, release)
        if before != release:
            raise PrivacyError(
                f"fragments of {before.registry} and {release.registry} have one randomness: "
                f"requests {before.request.hex()} and {release.request.hex()}"
            )


def _bytes(entry: Entry, name: str) -> bytes:
    return bytes.fromhex(str(entry.fields()[name]))
