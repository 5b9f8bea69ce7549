"""What the interface holds while it runs: the way to the platform, and counters. No study."""

from collections.abc import Callable

from upcare_mpc.api.limits import Answers, Buckets, Limits, Streams, Turns
from upcare_mpc.client.gateway import Gateway
from upcare_mpc.config import Agreement
from upcare_mpc.link.certificates import Network

__all__ = ["Service"]


class Service:
    """Shared by all requests.

    Attributes:
        upstream: The way to the platform.
        network: Trust anchor of the network.
        agreement: What its registries have agreed on.
        limits: The figures.
        log: Takes one line; none of them tells who asks what.
    """

    def __init__(
        self,
        upstream: Gateway,
        network: Network,
        agreement: Agreement,
        *,
        log: Callable[[str], None],
        limits: Limits,
    ) -> None:
        self.upstream = upstream
        self.network = network
        self.agreement = agreement
        self.log = log
        self.limits = limits
        self.addresses = Buckets(
            rate=limits.address_rate, burst=limits.address_burst, most=limits.tracked
        )
        self.keys = Buckets(rate=limits.key_rate, burst=limits.key_burst, most=limits.tracked)
        self.previews = Turns(most=limits.previews, seconds=limits.preview_s)
        self.streams = Streams(most=limits.streams, most_a_key=limits.streams_a_key)
        self.answers = Answers(most=limits.answers, seconds=limits.answers_s)
