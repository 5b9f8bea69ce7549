"""Who calls, and whether what she has signed fits the call.

A token names a key; every signed message in the same call has to be of that key. Whether the
signature on it is good is for the platform to say.
"""

import time
from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from upcare_mpc.api.problems import ProblemError
from upcare_mpc.api.service import Service
from upcare_mpc.client.signed_json import Authorization, read_authorization
from upcare_mpc.client.tokens import Token, read_token
from upcare_mpc.errors import ProtocolError

__all__ = [
    "AuthorizationHeader",
    "CatalogueToken",
    "ReadToken",
    "ResultsToken",
    "ServiceOf",
    "WriteToken",
    "own_authorization",
]

_BEARER: Final = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    scheme_name="token",
    description="JWT signed with the researcher's own key; `upcare researcher token` makes one.",
)
_BEARING = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]

AuthorizationHeader = Annotated[
    str,
    Header(
        alias="Upcare-Authorization",
        max_length=2048,
        description="What she signs about her own studies, valid for ten minutes: base64url of "
        "JSON, as `upcare researcher authorize` prints it.",
    ),
]


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(_service)]


def allowed(scope: str) -> Callable[..., Token]:
    """Return the check that a call has a token which allows it, and that its key has any left.

    Raises:
        ProblemError: ``token``, ``token.scope`` or ``limit``.
    """

    def check(service: ServiceOf, bearing: _BEARING) -> Token:
        if bearing is None:
            raise ProblemError(
                "token",
                "wanted the header Authorization: Bearer, as 'upcare researcher token' prints it",
                headers={"WWW-Authenticate": "Bearer"},
            )
        try:
            token = read_token(
                bearing.credentials, network=service.network.fingerprint, now=time.time()
            )
        except ProtocolError as error:
            raise ProblemError(
                "token",
                str(error),
                headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
            ) from None
        service.keys.take(token.key, time.monotonic())
        if scope not in token.scopes:
            raise ProblemError(
                "token.scope",
                f"wanted the scope {scope}",
                headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
            )
        return token

    return check


CatalogueToken = Annotated[Token, Depends(allowed("catalogue"))]
ReadToken = Annotated[Token, Depends(allowed("studies:read"))]
WriteToken = Annotated[Token, Depends(allowed("studies:write"))]
ResultsToken = Annotated[Token, Depends(allowed("results"))]


def own_authorization(text: str, token: Token, study: bytes) -> Authorization:
    """Read an authorization, and see that it is of the token's key and about this study.

    Args:
        text: Of the header.
        token: Of the same call.
        study: Digest; empty for all of them.

    Raises:
        ProblemError: ``token.key``.
        ProtocolError: It has another form, or is about another study.
    """
    authorization = read_authorization(text)
    if authorization.signing_key != token.key:
        raise ProblemError("token.key", "the authorization is signed by another key than the token")
    if authorization.study_digest != study:
        raise ProtocolError("the authorization is for another study")
    return authorization
