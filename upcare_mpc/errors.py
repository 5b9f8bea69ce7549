"""Every error that UPCARE raises on purpose, on one screen.

    UpcareError
    ├── InputError            something a person wrote or supplied is not usable
    │   ├── StudyError          a study file or an expression in it
    │   ├── DataError           a registry's data file
    │   └── ConfigError         a party file, a policy, a key or a certificate
    ├── PrivacyError          the guarantee would not hold
    │   └── BudgetExceeded      more privacy loss asked than is left
    ├── RefusedError          a registry or the platform says no, and may say why
    │   └── ErasedError         what is asked for was erased: no later try finds it
    ├── LinkError             a peer is lost, silent, or not who it should be
    ├── ProtocolError         a peer sent bytes that the protocol does not allow
    │   └── OpeningError        shares of a result do not belong together
    └── SessionError          a joint run ended without a result

One class per reaction of the caller, not per place of origin. The text of every error is safe
to show to anyone: no share, key, patient value, path of a data file or peer address is in it.
Codes are contract: listed in ``protos/README.md``, never reused.
"""

from fractions import Fraction
from typing import ClassVar

__all__ = [
    "BudgetExceeded",
    "ConfigError",
    "DataError",
    "ErasedError",
    "InputError",
    "LinkError",
    "OpeningError",
    "PrivacyError",
    "ProtocolError",
    "RefusedError",
    "SessionError",
    "StudyError",
    "UpcareError",
]


class UpcareError(Exception):
    """Base class; catch it to catch everything below and nothing else."""

    code: ClassVar[str] = "internal"


class InputError(UpcareError):
    """Something a person wrote or supplied is not usable; the text says what was wanted."""

    code = "input"


class StudyError(InputError):
    """A study file, or an expression in it, is not usable; the text points at the place."""

    code = "input.study"


class DataError(InputError):
    """A data file is not usable as a whole; single bad records are counted, not raised."""

    code = "input.data"


class ConfigError(InputError):
    """A party file, policy, key or certificate is not usable."""

    code = "input.config"


class PrivacyError(UpcareError):
    """The stated guarantee would not hold for what was asked."""

    code = "privacy"


class BudgetExceeded(PrivacyError):
    """A study asks for more privacy loss than a registry's ledger has left.

    Attributes:
        account: Whose cap would be broken: ``all studies`` or ``purpose DUO:0000007``.
        measure: What is asked and left: ``epsilon``, ``rho`` or ``delta``.
        asked: How much of it is asked.
        left: How much of it one more study may ask under that cap.
    """

    code = "privacy.budget_exceeded"

    def __init__(self, account: str, *, measure: str, asked: Fraction, left: Fraction) -> None:
        super().__init__(
            f"privacy budget exceeded: {measure} {float(asked):g} asked, {float(left):g} left "
            f"under the cap for {account}"
        )
        self.account = account
        self.measure = measure
        self.asked = asked
        self.left = left


class RefusedError(UpcareError):
    """A registry or the platform says no."""

    code = "refused"


class ErasedError(RefusedError):
    """What is asked for was erased, or was never there: it is refused for ever."""

    code = "refused.erased"


class LinkError(UpcareError):
    """A peer is lost, silent for too long, or not the party it should be."""

    code = "link"


class ProtocolError(UpcareError):
    """A peer sent bytes that the protocol does not allow; the session ends."""

    code = "protocol"


class OpeningError(ProtocolError):
    """Shares of a result do not belong together; the result is rejected as a whole."""

    code = "protocol.opening"


class SessionError(UpcareError):
    """A joint run ended without a result; what it cost is in the ledgers."""

    code = "session"
