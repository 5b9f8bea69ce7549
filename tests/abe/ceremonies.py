"""Ceremonies with all participants at one table, each with its own transcript, real signatures.

``Table`` takes the steps one after the other; a story changes what it likes between two steps.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from upcare_mpc.abe.ceremony import Ceremony, Kind, Signed, Transcript
from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.abe.groups import Group, RandomBytes
from upcare_mpc.abe.request import Approval, Request, approval_statement
from upcare_mpc.abe.threshold import Outcome, conclude, deal_in, report
from upcare_mpc.errors import ProtocolError

NAMES = ("de-a", "de-b", "de-c", "fr-a", "fr-b", "fr-c", "lu-a")
NOW = 1_800_000_000.0
Shares = dict[str, Share]


@cache
def _key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def sign(name: str) -> Callable[[bytes], bytes]:
    return lambda to_sign: _key(name).sign(to_sign, ec.ECDSA(hashes.SHA256()))


def verify(name: str, signed: bytes, signature: bytes) -> None:
    try:
        _key(name).public_key().verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise ProtocolError(f"{name} has not signed this") from None


def generation(group: Group, members: Sequence[str] = NAMES[:3]) -> Ceremony:
    return Ceremony(
        group=group,
        network="eu-cancer",
        identifier=secrets.token_bytes(16),
        roster=bytes(32),
        members=tuple(members),
        threshold=(len(members) - 1) // 2,
        previous=None,
        dealers=tuple(members),
    )


def handover(
    previous: Committee,
    members: Sequence[str] = (),
    dealers: Sequence[str] = (),
    threshold: int = 0,
) -> Ceremony:
    """To the same members, by all of them, unless told otherwise: a refresh."""
    members = tuple(members) or previous.members
    return Ceremony(
        group=previous.group,
        network=previous.network,
        identifier=secrets.token_bytes(16),
        roster=bytes(32),
        members=members,
        threshold=threshold or (len(members) - 1) // 2,
        previous=previous,
        dealers=tuple(dealers) or previous.members,
    )


class Table:
    """Participants of one ceremony, and what each of them has."""

    def __init__(
        self,
        ceremony: Ceremony,
        shares: Mapping[str, Share] | None = None,
        random: RandomBytes = secrets.token_bytes,
    ) -> None:
        self.ceremony = ceremony
        self.random = random
        self.shares = shares or {}
        self.transcripts = {name: Transcript(ceremony, verify) for name in ceremony.participants}
        self.dealings: dict[str, Signed] = {}
        self.sub_shares: dict[str, dict[str, Signed]] = {name: {} for name in ceremony.members}

    def signed(self, sender: str, kind: Kind, body: bytes, recipient: str = "") -> Signed:
        return Signed.by(sender, self.ceremony, kind, body, recipient=recipient, sign=sign(sender))

    def tell(self, message: Signed, *names: str) -> None:
        """Tell a public message to those named, or to everybody."""
        for name in names or self.ceremony.participants:
            self.transcripts[name].add(Signed.from_bytes(bytes(message)))

    def deal(self) -> None:
        """Prepare all dealings and sub-shares; nobody is told yet."""
        for dealer in self.ceremony.dealers:
            share = self.shares.get(dealer) if self.ceremony.previous else None
            dealing, sub_shares = deal_in(self.ceremony, dealer, share, self.random)
            self.dealings[dealer] = self.signed(dealer, Kind.DEALING, dealing)
            for member, body in sub_shares.items():
                self.send_sub_share(dealer, member, body)

    def send_sub_share(self, dealer: str, member: str, body: bytes) -> None:
        message = Signed.from_bytes(bytes(self.signed(dealer, Kind.SUB_SHARE, body, member)))
        self.transcripts[member].check(message)
        self.sub_shares[member][dealer] = message

    def tell_dealings(self) -> None:
        for message in self.dealings.values():
            self.tell(message)

    def tell_reports(self) -> None:
        for member in self.ceremony.members:
            body = report(self.transcripts[member], member, self.sub_shares[member])
            self.tell(self.signed(member, Kind.REPORT, body))

    def outcomes(self) -> dict[str, Outcome]:
        return {name: conclude(each) for name, each in self.transcripts.items()}

    def finish(self) -> tuple[Outcome, Shares]:
        """Conclude, confirm, check all confirmations, and add up the shares."""
        outcomes = self.outcomes()
        for name, outcome in outcomes.items():
            self.tell(self.signed(name, Kind.CONFIRMATION, outcome.confirmation))
        for name, outcome in outcomes.items():
            outcome.check_confirmed(self.transcripts[name])
        shares = {
            member: outcomes[member].share(member, self.sub_shares[member], self.random)
            for member in self.ceremony.members
        }
        return outcomes[self.ceremony.participants[0]], shares


def run(
    ceremony: Ceremony,
    shares: Mapping[str, Share] | None = None,
    random: RandomBytes = secrets.token_bytes,
) -> tuple[Committee, Shares]:
    """A ceremony in which everybody does as agreed."""
    table = Table(ceremony, shares, random)
    table.deal()
    table.tell_dealings()
    table.tell_reports()
    outcome, new_shares = table.finish()
    return outcome.committee, new_shares


def requested(
    committee: Committee, *attributes: str, sites: Sequence[str] = ("de-a",), **changes: object
) -> Request:
    """A request of project p-17 for November, in force at ``NOW``."""
    own = ("epoch:2026-11", "project:p-17", *(f"site:{site}" for site in sites))
    fields: dict[str, object] = {
        "network": committee.network,
        "committee": committee.digest,
        "epoch": "2026-11",
        "project": "p-17",
        "requester": "Ada Lovelace, Analytical Institute",
        "sealing_key": bytes(range(32)),
        "nonce": secrets.token_bytes(32),
        "not_after": int(NOW) + 3600,
        "attributes": tuple(sorted((*own, *attributes))),
    }
    return Request(**(fields | changes))  # type: ignore[arg-type]


def approvals(request: Request, *names: str) -> list[Approval]:
    return [
        Approval(
            registry=name,
            request=request.digest,
            signature=sign(name)(approval_statement(request.digest, name)),
        )
        for name in names
    ]
