"""The pages on which a patient answers questions, encrypted on her own device.

/de/questions                         what can be answered
/de/questions/<collection>            one questionnaire, or what has become of the answers
    .../key                           for the script: the collection and its signed key
    .../ticket                        her key is sent, and a ticket comes back
    .../deposit                       what the script has made; this registry cannot read it
    .../receipt                       the platform's receipt, to download
/script/                              the script, which these pages alone may run

Adversary: the platform, other registries, any other site that the patient has open. Not this
registry: it serves the script, and could serve another one. The page says so.
"""

import base64
import re
from importlib.resources import files
from typing import Any, Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from upcare_mpc.deposits.submission import POINT_BYTES
from upcare_mpc.errors import InputError, ProtocolError, RefusedError
from upcare_mpc.storage.tickets import GivenTicket, TicketState
from upcare_mpc.web.questionnaires import Offered, Questionnaires
from upcare_mpc.web.uses import answer, purpose_in_words
from upcare_mpc.web.visit import Visit, Visiting, body_of

__all__ = ["SCRIPTED", "router"]

router = APIRouter()

SCRIPTED: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'; "
        "script-src 'self'; worker-src 'self'; connect-src 'self'"
    ),
}
"""Of the page with the form, and of the scripts."""

_NAMES: Final = (
    *("certificates", "deposit", "keccak", "lattice"),
    *("questionnaire", "sealed", "worker"),
)
_SCRIPTS: Final = {
    f"{name}.js": files("upcare_mpc.web").joinpath(f"script/{name}.js").read_bytes()
    for name in _NAMES
}
_OCTETS: Final = "application/octet-stream"
_SECONDS: Final = 90.0  # for a deposit over a slow line
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@router.get("/script/{name}")
def script(name: str) -> Response:
    """A script."""
    if name not in _SCRIPTS:
        raise HTTPException(404)
    return Response(_SCRIPTS[name], media_type="text/javascript", headers=SCRIPTED)


@router.get("/{code}/questions")
def listed(visit: Visiting) -> Response:
    """Say what can be answered: what her consent permits, and nothing else."""
    questionnaires = _questionnaires(visit.request)
    offered = questionnaires.offered()
    own = {given.collection: given for given in questionnaires.tickets.of(visit.dossier.patient)}
    return visit.page(
        "questions.html",
        known=offered is not None,
        offered=[
            _shown(one, visit, own.get(one.digest))
            for one in offered or ()
            if one.digest in own or _permitted(one, visit)
        ],
    )


@router.get("/{code}/questions/{digest}")
def questionnaire(visit: Visiting, digest: str) -> Response:
    """Show the form, or what has become of the answers."""
    given = _given(visit, digest)
    if given is not None:
        return visit.page("answered.html", one=answer(given, visit.language))
    one = _offered(visit, digest)
    page = visit.page(
        "questionnaire.html",
        one=_shown(one, visit, None),
        prompts=one.kind.prompts(),
        holders=one.found.collection.names,
        together=one.found.collection.threshold + 1,
    )
    page.headers.update(SCRIPTED)
    return page


@router.get("/{code}/questions/{digest}/key")
def key(visit: Visiting, digest: str) -> Response:
    """Hand out what the script checks and encrypts to."""
    one = _offered(visit, digest)
    collection, study = one.found.collection, one.found.study
    return JSONResponse(
        {
            "collection": _text(collection.canonical()),
            "study": _text(study.canonical()),
            "ca": _questionnaires(visit.request).office.identity.network.ca_pem.decode("ascii"),
            "public": _text(one.keys[0].public),
            "holders": [
                {
                    "certificate": certificate,
                    "sealing": _text(signed.sealing),
                    "signature": _text(signed.signature),
                }
                for certificate, signed in zip(one.certificates, one.keys, strict=True)
            ],
        }
    )


@router.post("/{code}/questions/{digest}/ticket")
async def ticket(visit: Visiting, digest: str) -> Response:
    """Give this patient's key a ticket."""
    visit.check_proof(visit.request.headers.get("x-proof", ""))
    point = await body_of(visit.request, _OCTETS, most=POINT_BYTES, seconds=_SECONDS)
    given = await run_in_threadpool(_give, visit, digest, point)
    return JSONResponse(
        {"ticket": _text(given.ticket), "certificate": given.certificate.decode("ascii")}
    )


@router.post("/{code}/questions/{digest}/deposit")
async def deposit(visit: Visiting, digest: str) -> Response:
    """Take what the script has made, and hand it on."""
    visit.check_proof(visit.request.headers.get("x-proof", ""))
    questionnaires, one = _questionnaires(visit.request), _offered(visit, digest)
    given = _given(visit, digest)
    if given is None or given.state is not TicketState.GIVEN:
        raise HTTPException(409)
    most = questionnaires.most_bytes(one)
    encoded = await body_of(visit.request, _OCTETS, most=most, seconds=_SECONDS)
    try:
        await run_in_threadpool(questionnaires.keep, one, given, encoded)
    except ProtocolError:
        raise HTTPException(400) from None
    except RefusedError:
        raise HTTPException(409) from None
    visit.request.app.state.log("a questionnaire is answered")
    return Response(status_code=204)


@router.get("/{code}/questions/{digest}/receipt")
def receipt(visit: Visiting, digest: str) -> Response:
    """Hand out the platform's receipt, byte for byte."""
    given = _given(visit, digest)
    if given is None or given.receipt is None:
        raise HTTPException(404)
    disposition = f'attachment; filename="{digest[:12]}.receipt"'
    return Response(given.receipt, media_type=_OCTETS, headers={"content-disposition": disposition})


def _questionnaires(request: Request) -> Questionnaires:
    found: Questionnaires | None = request.app.state.questionnaires
    if found is None:
        raise HTTPException(404)
    return found


def _offered(visit: Visit, digest: str) -> Offered:
    """The questionnaire that a path names, if this patient may answer it."""
    questionnaires = _questionnaires(visit.request)
    one = questionnaires.find(_read(digest))
    if one is None or not _permitted(one, visit):
        raise HTTPException(404)
    return one


def _given(visit: Visit, digest: str) -> GivenTicket | None:
    return _questionnaires(visit.request).tickets.get(_read(digest), visit.dossier.patient)


def _permitted(one: Offered, visit: Visit) -> bool:
    office = _questionnaires(visit.request).office
    return office.permits(one.found.collection, one.found.question, visit.dossier.patient)


def _give(visit: Visit, digest: str, point: bytes) -> GivenTicket:
    one = _offered(visit, digest)
    office = _questionnaires(visit.request).office
    try:
        return office.give(one.found.collection, one.found.question, visit.dossier.patient, point)
    except InputError:
        raise HTTPException(400) from None
    except RefusedError:
        raise HTTPException(409) from None


def _shown(one: Offered, visit: Visit, given: GivenTicket | None) -> dict[str, Any]:
    """What the pages say of a questionnaire."""
    return {
        "place": f"/{visit.language.code}/questions/{one.digest.hex()}",
        "title": one.found.study.title,
        "purpose": purpose_in_words(one.found.study.purpose, visit.language),
        "count": len(one.kind.prompts()),
        "closes": one.closes.date(),
        "begun": given is not None,
    }


def _read(digest: str) -> bytes:
    if not _DIGEST.fullmatch(digest):
        raise HTTPException(404)
    return bytes.fromhex(digest)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
