"""What can be asked, below /v1.

GET  /health     /kinds   /variables      no token
GET  /catalogue                           scope catalogue
POST /previews                            scope studies:read; body: the signed question
POST /studies                             scope studies:write; body: the signed question
POST /studies/{digest}/close              scope studies:write; body: the question, signed anew
GET  /studies    /studies/{digest}        scope studies:read; header: authorization "list"
GET  /studies/{digest}/events             scope studies:read; header: authorization "watch"
GET  /studies/{digest}/result, /receipts  scope results; header: authorization "result"
"""

import asyncio
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query, Response

from upcare_mpc import __version__
from upcare_mpc.api.access import (
    AuthorizationHeader,
    CatalogueToken,
    ReadToken,
    ResultsToken,
    ServiceOf,
    WriteToken,
    own_authorization,
)
from upcare_mpc.api.events import EVENTS_CONTENT, EventStream
from upcare_mpc.api.models import (
    CatalogueItem,
    CataloguePage,
    Closed,
    Closing,
    Health,
    KindItem,
    Kinds,
    PreviewAnswer,
    Receipts,
    SealedResult,
    SignedStudy,
    Stated,
    StudyItem,
    StudyPage,
    Submitted,
    VariableItem,
    Variables,
)
from upcare_mpc.api.problems import ProblemError, declared
from upcare_mpc.api.service import Service
from upcare_mpc.client.platform import CatalogueEntry, ListedStudy
from upcare_mpc.client.preview import StudyPreview
from upcare_mpc.client.signed_json import (
    Authorization,
    ResultParts,
    SignedRequest,
    read_request,
    receipts_json,
    result_json,
)
from upcare_mpc.client.tokens import Token
from upcare_mpc.errors import LinkError, StudyError
from upcare_mpc.kinds import KINDS, Kind
from upcare_mpc.kinds.question import work_out
from upcare_mpc.records.variables import VARIABLES, Code, Number, Variable
from upcare_mpc.study.spec import Study

__all__ = ["router"]

router = APIRouter(prefix="/v1")

_HEALTH_S: Final = 3.0
_FIRST_S: Final = 60.0  # a story that is known begins at once

_Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="The study's, SHA-256.")]
_Limit = Annotated[int, Query(ge=1, le=100, description="Items of a page.")]
_Cursor = Annotated[
    str | None,
    Query(max_length=200, pattern=r"^([0-9a-f]{2})+$", description="`next` of the page before."),
]
_IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=128,
        pattern=r"^[ -~]+$",
        description="For 24 hours the same key with the same body has the same answer.",
    ),
]
_LastEventId = Annotated[
    int,
    Header(alias="Last-Event-ID", ge=0, le=1 << 31, description="`id` of the last event heard."),
]
_SIGNED: Final = ("token", "token.scope", "token.key", "protocol", "link")
_ASKED: Final = (*_SIGNED, "refused", "input.study")


# -- what is the same for everybody ---------------------------------------------------------------


@router.get("/health", tags=["network"], responses=declared())
async def health(service: ServiceOf) -> Health:
    """Say that this is alive, whose interface it is, and whether the platform answers."""
    try:
        await service.upstream.catalogue(within_s=_HEALTH_S)
    except LinkError:
        reached = False
    else:
        reached = True
    return Health(
        status="ok" if reached else "no platform",
        version=__version__,
        network=service.agreement.name,
        fingerprint=service.network.fingerprint.hex(),
    )


@router.get("/kinds", tags=["network"], responses=declared())
async def kinds() -> Kinds:
    """List the statistics that a study can ask for."""
    return Kinds(
        items=[KindItem(name=name, summary=_summary(kind)) for name, kind in KINDS.items()]
    )


@router.get("/variables", tags=["network"], responses=declared())
async def variables() -> Variables:
    """List the variables that a study may name; the same at every registry."""
    return Variables(items=[_variable(variable) for variable in VARIABLES.values()])


@router.get("/catalogue", tags=["network"], responses=declared("token", "token.scope", "link"))
async def catalogue(
    service: ServiceOf,
    _token: CatalogueToken,
    limit: _Limit = 50,
    cursor: _Cursor = None,
) -> CataloguePage:
    """List what each registry states about its data, by name; asks no registry."""
    entries = await service.upstream.catalogue()
    after = bytes.fromhex(cursor or "").decode("utf-8", "replace")
    following = [entry for entry in entries if entry.registry > after]
    items = following[:limit]
    return CataloguePage(
        items=[_catalogue_item(entry) for entry in items],
        next=items[-1].registry.encode().hex() if len(following) > limit else None,
    )


# -- asking ---------------------------------------------------------------------------------------


@router.post("/previews", tags=["studies"], responses=declared(*_ASKED))
async def preview(service: ServiceOf, token: ReadToken, sent: SignedStudy) -> PreviewAnswer:
    """Say what a study would cost, how exact it can be, and what each registry answers.

    Nothing is spent, and nothing is kept.
    """
    request = _request(sent, token)
    answers = await service.upstream.preview(request)
    entries = await service.upstream.catalogue()

    def implied() -> dict[str, Any]:
        question = work_out(
            Study.from_canonical(request.study), network_overlap=service.agreement.overlap
        )
        return StudyPreview.of(question, answers, entries).to_dict()

    async with service.previews:
        told = await asyncio.to_thread(implied)
    for row, answer in zip(told["registries"], answers, strict=True):
        row["epsilon_left_exact"] = _exact(answer.epsilon_left)
        row["rho_left_exact"] = _exact(answer.rho_left)
    return PreviewAnswer(**told)


@router.post(
    "/studies",
    tags=["studies"],
    status_code=201,
    response_description="Submitted.",
    responses={
        **declared(*_ASKED, "idempotency"),
        200: {"model": Submitted, "description": "It was there already, running or answered."},
    },
)
async def submit(
    service: ServiceOf,
    token: WriteToken,
    sent: SignedStudy,
    response: Response,
    idempotency_key: _IdempotencyKey = None,
) -> Submitted:
    """Submit a study, or find the one that asks the same.

    The same study of the same key is one study, whatever the Idempotency-Key: its answer is stored,
    and costs nothing again. The key makes the answer of this call the same as well.
    """
    request = _request(sent, token)
    body, now = sent.model_dump_json().encode(), time.monotonic()
    kept = None
    if idempotency_key is not None:
        kept = service.answers.find(token.key, idempotency_key, body, now)
    if kept is None:
        digest, known = await service.upstream.submit(request)
        kept = Submitted(study_digest=digest.hex(), known=known)
        if idempotency_key is not None:
            service.answers.keep(token.key, idempotency_key, body, kept, now)
    answer: Submitted = kept
    response.status_code = 200 if answer.known else 201
    response.headers["Location"] = f"/v1/studies/{answer.study_digest}"
    return answer


@router.post("/studies/{digest}/close", tags=["studies"], responses=declared(*_ASKED, "not_found"))
async def close(service: ServiceOf, token: WriteToken, digest: _Digest, sent: Closing) -> Closed:
    """End the collecting of a study's deposits, and run it.

    Deposits themselves are not sent through this interface.
    """
    request = _request(sent.request, token)
    if Study.from_canonical(request.study).digest.hex() != digest:
        raise ProblemError("not_found", "the signed study is another than the one in the address")
    try:
        closed, deposits = await service.upstream.close_study(request, sent.without)
    except StudyError:
        raise _unknown() from None
    return Closed(study_digest=closed.hex(), deposits=deposits)


# -- following ------------------------------------------------------------------------------------


@router.get("/studies", tags=["studies"], responses=declared(*_SIGNED, "not_found"))
async def studies(
    service: ServiceOf,
    token: ReadToken,
    authorization: AuthorizationHeader,
    limit: _Limit = 50,
    cursor: _Cursor = None,
) -> StudyPage:
    """List the studies of the token's key, newest first. Authorization for `list`."""
    own = own_authorization(authorization, token, b"")
    try:
        listed, more = await service.upstream.studies(
            own, after=bytes.fromhex(cursor or ""), limit=limit
        )
    except StudyError:
        raise ProblemError(
            "not_found", "cursor: wanted the `next` of a page of this list"
        ) from None
    return StudyPage(
        items=[_study_item(study) for study in listed],
        next=listed[-1].digest.hex() if more and listed else None,
    )


@router.get("/studies/{digest}", tags=["studies"], responses=declared(*_SIGNED, "not_found"))
async def state(
    service: ServiceOf, token: ReadToken, digest: _Digest, authorization: AuthorizationHeader
) -> StudyItem:
    """Say how far a study is. Authorization for `list`."""
    own = own_authorization(authorization, token, b"")
    study = await service.upstream.study(own, bytes.fromhex(digest))
    if study is None:
        raise _unknown()
    return _study_item(study)


@router.get(
    "/studies/{digest}/events",
    tags=["studies"],
    status_code=200,
    response_class=EventStream,
    response_description="Server-sent events; `data` is an EventItem, or a Problem after `event: "
    "problem`.",
    responses={**declared(*_SIGNED, "not_found"), 200: {"content": EVENTS_CONTENT}},
)
async def events(
    service: ServiceOf,
    token: ReadToken,
    digest: _Digest,
    authorization: AuthorizationHeader,
    last_event_id: _LastEventId = 0,
) -> EventStream:
    """Follow a study to its end, by server-sent events. Authorization for `watch`.

    The event with `last` is the end. A connection is ended after half an hour: follow again with
    Last-Event-ID. In between a comment is sent at least every 15 s.
    """
    own = own_authorization(authorization, token, bytes.fromhex(digest))
    service.streams.enter(token.key)
    story = service.upstream.watch(own)
    try:
        async with asyncio.timeout(_FIRST_S):
            first = await anext(story)
    except BaseException as error:
        service.streams.leave(token.key)
        await story.aclose()
        if isinstance(error, StudyError):
            raise _unknown() from None
        if isinstance(error, StopAsyncIteration | TimeoutError):
            raise LinkError("the platform does not tell the story") from None
        raise
    return EventStream(
        story,
        first,
        after=last_event_id,
        limits=service.limits,
        left=lambda: service.streams.leave(token.key),
    )


# -- having ---------------------------------------------------------------------------------------


@router.get(
    "/studies/{digest}/result",
    tags=["results"],
    responses=declared(*_SIGNED, "not_found", "refused"),
)
async def result(
    service: ServiceOf, token: ResultsToken, digest: _Digest, authorization: AuthorizationHeader
) -> SealedResult:
    """Fetch the sealed envelope of a finished study. Authorization for `result`.

    The outputs are sealed to the researcher (HPKE); nobody in between can open them.
    """
    own = own_authorization(authorization, token, bytes.fromhex(digest))
    return SealedResult(**result_json(await _parts(service, own)))


@router.get(
    "/studies/{digest}/receipts",
    tags=["results"],
    responses=declared(*_SIGNED, "not_found", "refused"),
)
async def receipts(
    service: ServiceOf, token: ResultsToken, digest: _Digest, authorization: AuthorizationHeader
) -> Receipts:
    """Fetch what each registry of a finished study has signed that it charged.

    Authorization for `result`. Statements may arrive some seconds after the result.
    """
    own = own_authorization(authorization, token, bytes.fromhex(digest))
    return Receipts(**receipts_json(await _parts(service, own)))


# -- small things ---------------------------------------------------------------------------------


async def _parts(service: Service, authorization: Authorization) -> ResultParts:
    try:
        return await service.upstream.result(authorization)
    except StudyError:
        raise _unknown() from None


def _unknown() -> ProblemError:
    return ProblemError("not_found", "this researcher has not submitted such a study")


def _request(sent: SignedStudy, token: Token) -> SignedRequest:
    request = read_request(sent.model_dump())
    if request.signing_key != token.key:
        raise ProblemError("token.key", "the study is signed by another key than the token")
    return request


def _summary(kind: Callable[[Study], Kind]) -> str:
    return (sys.modules[kind.__module__].__doc__ or "").partition("\n")[0]


def _variable(variable: Variable) -> VariableItem:
    known = variable.type
    number = known if isinstance(known, Number) else None
    return VariableItem(
        name=variable.name,
        type="number" if number else "code" if isinstance(known, Code) else "pattern",
        values=list(known.values) if isinstance(known, Code) else None,
        low=number.low if number else None,
        high=number.high if number else None,
        unit=number.unit if number else None,
        wanted=known.wanted(),
        meaning=variable.meaning,
    )


def _catalogue_item(entry: CatalogueEntry) -> CatalogueItem:
    stated = entry.availability
    return CatalogueItem(
        registry=entry.registry,
        attending=entry.attending,
        since=entry.since,
        stated=None
        if stated is None
        else Stated(
            variables=[name for name in VARIABLES if name in stated.variables],
            years=list(stated.years),
            population=stated.population,
            note=stated.note,
        ),
    )


def _study_item(study: ListedStudy) -> StudyItem:
    return StudyItem(
        study_digest=study.digest.hex(),
        title=study.title,
        state=study.state,
        reason=study.reason,
        submitted=study.submitted,
        changed=study.changed,
        collection=study.collection.hex() or None,
    )


def _exact(value: Fraction | None) -> str | None:
    return None if value is None else str(value)
