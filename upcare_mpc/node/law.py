"""The law of the noise on its way to a worker: parameters as JSON, checked by digest on arrival."""

import math
from fractions import Fraction
from typing import Any

from upcare_mpc.errors import SessionError
from upcare_mpc.mpc.noise import Law
from upcare_mpc.privacy.digits import Part
from upcare_mpc.privacy.gaussian import SampledGaussian
from upcare_mpc.privacy.laplace import SampledLaplace

__all__ = ["law_from_json", "law_in_words", "law_to_json"]


def law_to_json(law: Law) -> dict[str, Any]:
    """Write the parameters."""
    if isinstance(law, SampledLaplace):
        return {
            "laplace": str(law.scale),
            "precision": law.precision,
            "magnitude_bits": law.magnitude_bits,
            "thresholds": law.thresholds,
        }
    return {
        "gaussian": [
            {
                "shift": part.shift,
                "sigma_squared": str(part.sigma_squared),
                "precision": part.precision,
                "magnitude_bits": part.magnitude_bits,
                "tables": part.tables,
            }
            for part in law.parts
        ]
    }


def law_in_words(law: Law) -> str:
    """Name the mechanism and its scale, for people."""
    if isinstance(law, SampledLaplace):
        return f"laplace of scale {float(law.scale):g}"
    return f"gaussian of sigma {math.sqrt(law.sigma_squared):g}"


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
            parts=tuple(
                Part(
                    shift=part["shift"],
                    sigma_squared=Fraction(part["sigma_squared"]),
                    precision=part["precision"],
                    magnitude_bits=part["magnitude_bits"],
                    tables=tuple(tuple(table) for table in part["tables"]),
                )
                for part in content["gaussian"]
            )
        )
    if law.digest != digest:
        raise SessionError("the law of the noise is not the one of the session")
    return law
