"""Signed messages and sealed results as JSON: what the public interface speaks.

Both ends use these: whoever signs or opens (``rest``) and whoever passes on (the interface). What
is signed is the same as over gRPC (``link.statements``); only the envelope differs. Bytes are
hexadecimal, or base64 where they are many. Nothing is checked here but the form: signatures are
checked by the platform, the registries and whoever opens a result.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.errors import ProtocolError

__all__ = [
    "Authorization",
    "ResultParts",
    "SignedRequest",
    "authorization_text",
    "outputs_json",
    "read_authorization",
    "read_request",
    "read_result",
    "receipts_json",
    "request_json",
    "result_json",
]

SignedRequest: TypeAlias = study_pb2.StudyRequest
Authorization: TypeAlias = study_pb2.Authorization
ResultParts: TypeAlias = Sequence[coordinator_pb2.ResultResponse]


def request_json(request: SignedRequest) -> dict[str, Any]:
    """Write a signed question."""
    return {
        "study": request.study.decode("ascii"),
        "signing_key": request.signing_key.hex(),
        "sealing_key": request.sealing_key.hex(),
        "not_after": request.not_after,
        "nonce": request.nonce.hex(),
        "method": request.method,
        "collection": request.collection.hex(),
        "signature": request.signature.hex(),
    }


def read_request(content: Mapping[str, Any]) -> SignedRequest:
    """Read what ``request_json`` writes.

    Raises:
        ProtocolError: It has another form.
    """
    try:
        return study_pb2.StudyRequest(
            study=content["study"].encode("ascii"),
            signing_key=bytes.fromhex(content["signing_key"]),
            sealing_key=bytes.fromhex(content["sealing_key"]),
            not_after=content["not_after"],
            nonce=bytes.fromhex(content["nonce"]),
            method=content["method"],
            collection=bytes.fromhex(content["collection"]),
            signature=bytes.fromhex(content["signature"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ProtocolError("wanted a signed study request") from None


def authorization_text(authorization: Authorization) -> str:
    """Write an authorization as the value of a header: base64url of JSON, without padding."""
    content = {
        "study_digest": authorization.study_digest.hex(),
        "signing_key": authorization.signing_key.hex(),
        "not_after": authorization.not_after,
        "method": authorization.method,
        "signature": authorization.signature.hex(),
    }
    encoded = json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(encoded).decode("ascii").rstrip("=")


def read_authorization(text: str) -> Authorization:
    """Read what ``authorization_text`` writes.

    Raises:
        ProtocolError: It has another form.
    """
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        content = json.loads(decoded)
        return study_pb2.Authorization(
            study_digest=bytes.fromhex(content["study_digest"]),
            signing_key=bytes.fromhex(content["signing_key"]),
            not_after=content["not_after"],
            method=content["method"],
            signature=bytes.fromhex(content["signature"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ProtocolError(
            "wanted an authorization as 'upcare researcher authorize' prints it"
        ) from None


def result_json(parts: ResultParts) -> dict[str, Any]:
    """Write the sealed envelope of a finished study: all that the platform hands out.

    Secret inside: the outputs, which only the researcher's sealing key opens.
    """
    return {
        "descriptor": _descriptor(parts),
        "request": next(
            (request_json(part.request) for part in parts if part.HasField("request")), None
        ),
        "certificates": _certificates(parts),
        "outputs": outputs_json(parts),
        "spent": [_spent_json(part.spent) for part in parts if part.HasField("spent")],
        "collection": next(
            (_base64(part.collection) for part in parts if part.HasField("collection")), None
        ),
        "findings": [
            {
                "collection": part.findings.collection.hex(),
                "findings": _base64(part.findings.findings),
                "signature": part.findings.signature.hex(),
            }
            for part in parts
            if part.HasField("findings")
        ],
    }


def outputs_json(parts: ResultParts) -> list[dict[str, Any]]:
    """Write the sealed outputs, one a computing registry."""
    return [
        {
            "session_digest": part.output.session_digest.hex(),
            "index": part.output.index,
            "agreement": part.output.agreement.hex(),
            "sealed": _base64(part.output.sealed),
            "signature": part.output.signature.hex(),
            "dropped": list(part.output.dropped),
        }
        for part in parts
        if part.HasField("output")
    ]


def receipts_json(parts: ResultParts) -> dict[str, Any]:
    """Write what each registry has signed that it charged, and what is needed to check it."""
    return {
        "descriptor": _descriptor(parts),
        "certificates": _certificates(parts),
        "receipts": [_spent_json(part.spent) for part in parts if part.HasField("spent")],
    }


def read_result(content: Mapping[str, Any]) -> ResultParts:
    """Read what ``result_json`` writes, for ``result.open_parts``, which checks it.

    Raises:
        ProtocolError: It has another form.
    """
    response = coordinator_pb2.ResultResponse
    try:
        return [
            response(descriptor=_bytes(content["descriptor"])),
            *(
                response(request=read_request(request))
                for request in [content["request"]]
                if request is not None
            ),
            *(response(certificate=pem) for pem in content["certificates"]),
            *(
                response(
                    output=study_pb2.Output(
                        session_digest=bytes.fromhex(output["session_digest"]),
                        index=output["index"],
                        agreement=bytes.fromhex(output["agreement"]),
                        sealed=_bytes(output["sealed"]),
                        signature=bytes.fromhex(output["signature"]),
                        dropped=output["dropped"],
                    )
                )
                for output in content["outputs"]
            ),
            *(
                response(
                    spent=study_pb2.Spent(
                        session_digest=bytes.fromhex(spent["session_digest"]),
                        registry=spent["registry"],
                        epsilon=spent["epsilon"],
                        rho=spent["rho"],
                        delta=spent["delta"],
                        signature=bytes.fromhex(spent["signature"]),
                    )
                )
                for spent in content["spent"]
            ),
            *(
                response(collection=_bytes(collection))
                for collection in [content["collection"]]
                if collection is not None
            ),
            *(
                response(
                    findings=deposit_pb2.SignedFindings(
                        collection=bytes.fromhex(found["collection"]),
                        findings=_bytes(found["findings"]),
                        signature=bytes.fromhex(found["signature"]),
                    )
                )
                for found in content["findings"]
            ),
        ]
    except (KeyError, TypeError, ValueError, ProtocolError):
        raise ProtocolError("wanted the sealed envelope of a result") from None


def _descriptor(parts: ResultParts) -> str:
    return next((_base64(part.descriptor) for part in parts if part.HasField("descriptor")), "")


def _certificates(parts: ResultParts) -> list[str]:
    return [part.certificate for part in parts if part.HasField("certificate")]


def _spent_json(spent: study_pb2.Spent) -> dict[str, Any]:
    return {
        "registry": spent.registry,
        "session_digest": spent.session_digest.hex(),
        "epsilon": spent.epsilon,
        "rho": spent.rho,
        "delta": spent.delta,
        "signature": spent.signature.hex(),
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError from error
