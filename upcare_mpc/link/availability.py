"""What a registry states about its data, as a message; checked wherever it arrives.

Registry to platform to researcher: all of them read it by the same limits, so that a statement
which the platform keeps can be shown to anyone.
"""

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.errors import ConfigError, ProtocolError
from upcare_mpc.records.availability import Availability
from upcare_mpc.records.variables import VARIABLES

__all__ = ["availability_message", "read_availability"]

MAX_BYTES = 4096


def availability_message(stated: Availability) -> coordinator_pb2.Availability:
    """Write a statement."""
    first, last = stated.years
    return coordinator_pb2.Availability(
        variables=sorted(stated.variables),
        first_year=first,
        last_year=last,
        population=stated.population,
        note=stated.note,
    )


def read_availability(message: coordinator_pb2.Availability) -> Availability:
    """Read a statement. Variables that this version does not know are left out.

    Raises:
        ProtocolError: It is too large, or not a statement.
    """
    if message.ByteSize() > MAX_BYTES:
        raise ProtocolError(f"catalogue: wanted at most {MAX_BYTES} bytes")
    try:
        return Availability(
            variables=frozenset(VARIABLES).intersection(message.variables),
            years=(message.first_year, message.last_year),
            population=message.population,
            note=message.note,
        )
    except ConfigError as error:
        raise ProtocolError(f"catalogue: {error}") from None
