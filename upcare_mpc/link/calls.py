"""Calls to the platform: how it is reached, and what its refusals mean here.

Whatever the platform says is shown on one line and cut; a terminal has nothing in it to act on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc

from upcare_mpc.errors import LinkError, RefusedError
from upcare_mpc.link.certificates import Identity, Network, host_of

__all__ = ["CALL_S", "platform_channel", "registry_channel", "translated"]

CALL_S: Final = 60.0
"""After so many seconds without an answer the platform counts as unreachable."""

_OPTIONS: Final = [
    ("grpc.ssl_target_name_override", host_of("platform", "platform")),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.keepalive_time_ms", 10_000),  # a platform that is gone ends a stream
    ("grpc.keepalive_timeout_ms", 10_000),
]
_REFUSALS: Final = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNIMPLEMENTED,
}


def registry_channel(address: str, identity: Identity) -> Any:
    """Reach the platform as a registry, over mutual TLS; the caller closes the channel."""
    credentials = grpc.ssl_channel_credentials(
        identity.network.ca_pem, identity.key_pem, identity.certificate_pem
    )
    return grpc.secure_channel(address, credentials, options=_OPTIONS)


def platform_channel(address: str, network: Network) -> Any:
    """Reach the platform as a researcher, over TLS that proves the platform; as above."""
    credentials = grpc.ssl_channel_credentials(network.ca_pem)
    return grpc.secure_channel(address, credentials, options=_OPTIONS)


@contextmanager
def translated() -> Iterator[None]:
    """Turn gRPC's errors into ours.

    Raises:
        RefusedError: The platform says no; its text is shown.
        LinkError: It cannot be reached, or does not answer in time, or is not who it should be.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise _error(error) from None


def _error(error: Any) -> RefusedError | LinkError:
    text = str(error.details() or "")
    detail = "".join(c if c.isprintable() else " " for c in text)[:1000]
    if error.code() in _REFUSALS:
        return RefusedError(detail)
    if "certificate" in detail.lower() or "handshake" in detail.lower():
        return LinkError(
            "no trusted connection to the platform: its certificate or ours is not accepted"
        )
    return LinkError("the platform cannot be reached, or did not answer in time")
