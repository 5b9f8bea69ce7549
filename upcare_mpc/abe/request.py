"""What a researcher asks for, and the approvals of it: one digest that everything else is bound to.

A request is for one key: of one project, in one epoch (a month), from one committee, sealed to one
key of one requester. Its digest covers all of it, so that what was approved is what is issued, and
to whom. A request once changed in anything is another request and starts without approvals.

An approval is a registry's signature over the digest and its own name. t + 1 distinct members of
the committee have to approve, and, for each attribute ``site:x``, registry x itself, member or not:
nobody is given a key to a registry's records over its head.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.keys import check_attributes
from upcare_mpc.abe.statements import Verify, statement
from upcare_mpc.errors import InputError, ProtocolError, RefusedError
from upcare_mpc.study.packed import pack, unpack

__all__ = [
    "MAX_REQUEST_BYTES",
    "MAX_REQUEST_SECONDS",
    "Approval",
    "Request",
    "approval_statement",
    "check_approvals",
    "check_request",
]

MAX_REQUEST_BYTES: Final = 16 << 10
MAX_REQUEST_SECONDS: Final = 31 * 24 * 3600
_VERSION = b"UAQ1"
_COMMITTEE_BYTES = 32
_SEALING_KEY_BYTES = 32
_NONCE_BYTES = 32
_TIME_BYTES = 8
_REQUESTER = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request for a key. Public to the network.

    Bytes: ``UAQ1`` and the fields in this order; the attributes last, one field each.

    Attributes:
        network: Name of the network.
        committee: Digest of the committee that is to issue.
        epoch: The month, as in the attribute ``epoch:2026-11``.
        project: As in the attribute ``project:p-17``.
        requester: Who asks, as the network knows her: 1 to 128 printable ASCII characters.
        sealing_key: X25519 public key that fragments are sealed to, 32 bytes.
        nonce: 32 bytes.
        not_after: Last second at which fragments leave, since 1970, UTC.
        attributes: Ascending. One is of the namespace ``epoch`` and one of ``project``, those
            above; one or more are of ``site``.
    """

    network: str
    committee: bytes
    epoch: str
    project: str
    requester: str
    sealing_key: bytes
    nonce: bytes
    not_after: int
    attributes: tuple[str, ...]

    def __post_init__(self) -> None:
        lengths = len(self.committee), len(self.sealing_key), len(self.nonce)
        if lengths != (_COMMITTEE_BYTES, _SEALING_KEY_BYTES, _NONCE_BYTES):
            raise InputError(
                "a request has a committee's digest of 32 bytes, a sealing key of 32 and a nonce "
                f"of 32, got {lengths[0]}, {lengths[1]} and {lengths[2]}"
            )
        if not _REQUESTER.fullmatch(self.requester):
            raise InputError("a requester is named in 1 to 128 printable ASCII characters")
        if not 0 < self.not_after < 1 << 37:  # the year 6325, which every calendar has
            raise InputError(f"a request ends at a time in seconds, got {self.not_after}")
        if check_attributes(self.attributes) != self.attributes:
            raise InputError("the attributes of a request ascend")
        for namespace, value in (("epoch", self.epoch), ("project", self.project)):
            if self._values(namespace) != (value,):
                raise InputError(
                    f"a request for {namespace} {value[:80]!a} has one attribute of the namespace "
                    f"{namespace}, that one"
                )
        if not self.sites:
            raise InputError("a request names a site at least, as site:registry")

    def __bytes__(self) -> bytes:
        return pack(
            _VERSION,
            self.network.encode(),
            self.committee,
            self.epoch.encode(),
            self.project.encode(),
            self.requester.encode(),
            self.sealing_key,
            self.nonce,
            self.not_after.to_bytes(_TIME_BYTES),
            *(attribute.encode() for attribute in self.attributes),
        )

    @classmethod
    def from_bytes(cls, encoded: bytes) -> "Request":
        """Decode a request.

        Raises:
            ProtocolError: The bytes are anything but a request in version 1.
        """
        try:
            fields = unpack(_VERSION, encoded, most=MAX_REQUEST_BYTES)
            network, committee, *texts, sealing_key, nonce, not_after = fields[:8]
            epoch, project, requester = (text.decode("ascii") for text in texts)
            request = cls(
                network=network.decode("ascii"),
                committee=committee,
                epoch=epoch,
                project=project,
                requester=requester,
                sealing_key=sealing_key,
                nonce=nonce,
                not_after=int.from_bytes(not_after),
                attributes=tuple(attribute.decode("ascii") for attribute in fields[8:]),
            )
            if bytes(request) != encoded:
                raise ProtocolError("another spelling of a request")
        except (ProtocolError, InputError, ValueError):
            raise ProtocolError("these are not the bytes of a request, version 1") from None
        return request

    @cached_property
    def digest(self) -> bytes:
        """Name this request; 32 bytes."""
        return sha256(statement("request", bytes(self))).digest()

    @property
    def sites(self) -> tuple[str, ...]:
        """The registries whose records the key is for."""
        return self._values("site")

    def _values(self, namespace: str) -> tuple[str, ...]:
        halves = (attribute.split(":", 1) for attribute in self.attributes)
        return tuple(value for name, value in halves if name == namespace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A registry's yes to a request.

    Attributes:
        registry: Whose.
        request: Digest of the request.
        signature: By the registry, over ``approval_statement``.
    """

    registry: str
    request: bytes
    signature: bytes


def approval_statement(request: bytes, registry: str) -> bytes:
    """What a registry signs when it agrees to the request of this digest."""
    return statement("approval", request, registry.encode())


def check_request(committee: Committee, request: Request, *, now: float) -> None:
    """Check that a request is for this committee, and in force.

    Args:
        committee: The present one.
        request: To be approved, or issued for.
        now: Seconds since 1970, UTC.

    Raises:
        RefusedError: It is not; the text says why.
    """
    if (request.network, request.committee) != (committee.network, committee.digest):
        raise RefusedError("the request is for another network or another committee")
    if now > request.not_after:
        raise RefusedError("the request is no longer valid; file it again")
    if request.not_after > now + MAX_REQUEST_SECONDS:
        raise RefusedError("a request is valid for 31 days at most; check this clock")


def check_approvals(
    committee: Committee, request: Request, approvals: Sequence[Approval], verify: Verify
) -> None:
    """Check that enough registries, and the right ones, approve of a request.

    Raises:
        ProtocolError: An approval is of another request or of a registry that is not asked, is not
            signed by whom it names, or is a registry's second one.
        RefusedError: Fewer than t + 1 members approve, or a site of the request does not.
    """
    approved: set[str] = set()
    for approval in approvals:
        name = approval.registry
        if name not in {*committee.members, *request.sites}:
            raise ProtocolError(f"{name[:80]!a} is not asked to approve of this request")
        if approval.request != request.digest:
            raise ProtocolError(f"{name} approves of another request")
        if name in approved:
            raise ProtocolError(f"{name} approves twice")
        verify(name, approval_statement(request.digest, name), approval.signature)
        approved.add(name)
    wanted = committee.threshold + 1
    if len(approved & set(committee.members)) < wanted:
        raise RefusedError(
            f"{wanted} members of the committee have to approve, "
            f"{len(approved & set(committee.members))} do"
        )
    missing = sorted(set(request.sites) - approved)
    if missing:
        raise RefusedError(f"no approval of {', '.join(missing)}, whose records the key is for")
