"""Words of others, made safe to show and to compute with.

Reasons, stories and figures come from registries and the platform. They are shown on a terminal:
nothing in them may span lines, steer the terminal, or end the program.
"""

import re
from fractions import Fraction

from upcare_mpc.errors import ProtocolError

__all__ = ["exact_fraction", "one_line"]

_FRACTION = re.compile(r"-?[0-9]{1,60}(/[1-9][0-9]{0,60})?", re.ASCII)


def one_line(text: str) -> str:
    """Put a text on one line and take out what a terminal would act on."""
    return "".join(c if c.isprintable() else " " for c in text)[:1000]


def exact_fraction(text: str) -> Fraction:
    """Read ``numerator/denominator``.

    Raises:
        ProtocolError: It is something else.
    """
    if not _FRACTION.fullmatch(text):
        raise ProtocolError("wanted an exact fraction, got something else")
    return Fraction(text)
