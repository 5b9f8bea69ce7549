"""The law of the noise on its way to a worker: parameters as JSON, checked by digest on arrival."""

from fractions import Fraction
from typing import Any

from upcare_mpc.errors import SessionError
from upcare_mpc.mpc.noise import Law
from upcare_mpc.privacy.gaussian import SampledGaussian
from upcare_mpc.privacy.laplace import SampledLaplace

__all__ = ["law_from_json", "law_to_json"]


def law_to_json(law: Law) -> dict[str, Any]:
    """Write the parameters."""
    common = {"precision": law.precision, "magnitude_bits": law.magnitude_bits}
    if isinstance(law, SampledLaplace):
        return {"laplace": str(law.scale), "thresholds": law.thresholds, **common}
    return {"gaussian": str(law.sigma_squared), "tables": law.tables, **common}


def law_from_json(content: dict[str, Any], *, digest: bytes) -> Law:
    """Read what ``law_to_json`` wrote.

    Raises:
        SessionError: It is not the law of the session, whose digest the caller knows.
    """
    law: Law
    if "laplace" in content:
        law = SampledLaplace(
            scale=Fraction(content["laplace"]),
            precision=content["precision"],
            magnitude_bits=content["magnitude_bits"],
            thresholds=tuple(content["thresholds"]),
        )
    else:
        law = SampledGaussian(
            sigma_squared=Fraction(content["gaussian"]),
            precision=content["precision"],
            magnitude_bits=content["magnitude_bits"],
            tables=tuple(tuple(table) for table in content["tables"]),
        )
    if law.digest != digest:
        raise SessionError("the law of the noise is not the one of the session")
    return law
