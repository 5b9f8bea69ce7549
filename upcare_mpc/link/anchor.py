"""What ceremonies of this network are checked against: its name, its CA, the group of its keys."""

import datetime

from upcare_mpc.abe.groups import default_group
from upcare_mpc.access.committees import Anchor
from upcare_mpc.access.papers import Certify
from upcare_mpc.link.certificates import Network
from upcare_mpc.link.signers import certifier

__all__ = ["anchor_of"]


def anchor_of(network: Network, name: str) -> Anchor:
    """Return the anchor of a network."""

    def certify_at(time: int) -> Certify:
        return certifier(network, now=datetime.datetime.fromtimestamp(time, datetime.UTC))

    return Anchor(
        network=name,
        authority=network.fingerprint,
        certify_at=certify_at,
        group=default_group(),
    )
