"""From the papers of all ceremonies to the committee in force.

The chain begins with the ceremony that made the network's key, and each that follows hands over
from the committee before it, with the same public key. Every link is checked: an outcome signed by
all its participants, dealers that prove to hold their shares of the committee before.

Which of several:

- Of ceremonies that made a key, the one whose key is known already; to somebody who knows none, the
  oldest on the board. Three registries can make a key of their own at any time, and the
  platform can show it as the oldest: so the first key seen is kept for good, and people compare its
  fingerprint by another way.
- Of ceremonies by which one committee hands over, the newest. An older one may have been given up,
  and come to its end late, by the word of a registry that held it back. A newer one takes t + 1
  shares of the committee that hands over, which the honest erase when they see the older confirmed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import Group
from upcare_mpc.abe.statements import statement
from upcare_mpc.access.ceremony import find_proposal, replay
from upcare_mpc.access.papers import PaperLike
from upcare_mpc.access.seats import CertifyAt, Proposal

__all__ = ["Anchor", "PapersByTopic", "chain", "fingerprint"]

PapersByTopic = Mapping[bytes, Sequence[PaperLike]]
"""By topic, oldest first; papers of each in the order in which they came. Nothing is trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """What is known of a network before any paper is read.

    Attributes:
        network: Its name.
        authority: SHA-256 of its CA certificate.
        certify_at: Checks certificates of its registries.
        group: Where its keys live.
    """

    network: str
    authority: bytes
    certify_at: CertifyAt
    group: Group


def fingerprint(committee: Committee) -> str:
    """Name the network's public key for people to compare: 64 hexadecimal digits."""
    named = statement("fingerprint", committee.network.encode(), bytes(committee.public))
    return sha256(named).hexdigest()


def chain(
    ceremonies: PapersByTopic, anchor: Anchor, *, known: str | None = None
) -> list[Committee]:
    """Return all committees, that of generation 1 first; the last is in force.

    Args:
        ceremonies: From the board.
        anchor: Of the network; ceremonies of others are passed over.
        known: Fingerprint of the key that must be the network's; None takes the oldest.

    Returns:
        No committee if there is no key yet, or not this one.

    Cost: for each ceremony that is complete as ``access.ceremony.replay``.
    """
    by_previous: dict[bytes, list[tuple[Proposal, Sequence[PaperLike]]]] = {}
    for topic, papers in ceremonies.items():
        proposal = find_proposal(topic, papers, certify_at=anchor.certify_at)
        ours = (anchor.network, anchor.authority)
        if proposal is not None and (proposal.network, proposal.authority) == ours:
            by_previous.setdefault(proposal.previous, []).append((proposal, papers))

    def ended(previous: Committee | None, *, newest: bool) -> list[Committee]:
        """Return the committees that follow, in the order in which they are to be tried."""
        found = by_previous.get(previous.digest if previous else b"", [])
        outcomes = (
            replay(
                proposal,
                papers,
                previous=previous,
                group=anchor.group,
                certify_at=anchor.certify_at,
            )
            for proposal, papers in (reversed(found) if newest else found)
        )
        return [outcome.committee for outcome in outcomes if outcome]

    made = [c for c in ended(None, newest=False) if known in {None, fingerprint(c)}]
    committees = made[:1]
    while committees and (following := ended(committees[-1], newest=True)):
        committees.append(following[0])
    return committees
