"""The pages: what is shown at which place, and what a form that was sent does.

/                                      chooses the language
/de/            and /fr/, /en/         where a code is typed
/de/help                               questions and answers
/de/me                                 what is in force
/de/answer/statistics, .../records     allow or refuse, purpose by purpose
/de/withdraw/statistics, /records, /all
/de/record   /de/uses   /de/documents  what is stored; who used it; to download
/de/questions                          see ``questionnaire``
/de/leave                              the end of the visit
"""

import time
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from upcare_mpc.consent.model import Activity
from upcare_mpc.errors import RefusedError
from upcare_mpc.web.choices import LIMITS_OF, SCOPES, Choice, limit_words, read_choice
from upcare_mpc.web.language import marked
from upcare_mpc.web.record import illnesses, tumours
from upcare_mpc.web.visit import (
    COOKIE,
    Form,
    Sent,
    Spoken,
    Visit,
    Visiting,
    registry_of,
    rendered,
    spoken_in,
    visits_of,
)

__all__ = ["router"]

router = APIRouter()

_STYLE: Final = files("upcare_mpc.web").joinpath("patient.css").read_bytes()
_WRONG_CODE: Final = marked(
    "This code is not known, or it was used already, or its time is up. Please check the letters, "
    "or ask your registry for a new code."
)
_MEANWHILE: Final = marked(
    "Somebody has answered meanwhile, perhaps you on another device. Nothing was changed. Below is "
    "what is in force now."
)
_DONE: Final = {
    "answered": marked("Thank you. Your answer is recorded."),
    "withdrawn": marked("It is recorded that you have taken your permission back."),
    "same": marked("That was in force already. Nothing has changed."),
}
_TAKEN_BACK: Final = {
    "statistics": (Activity.STATISTICS,),
    "records": (Activity.RECORDS,),
    "all": tuple(Activity),
}


@router.get("/style.css")
def style() -> Response:
    """The style sheet."""
    return Response(_STYLE, media_type="text/css")


@router.get("/")
def choose_language(request: Request) -> Response:
    """Send the browser to the language that it prefers."""
    return RedirectResponse(f"/{spoken_in(request).code}/", 303)


@router.get("/{code}")
def add_slash(spoken: Spoken) -> Response:
    """Send the browser to where a code is typed."""
    return RedirectResponse(f"/{spoken.code}/", 303)


@router.get("/{code}/")
def welcome(request: Request, spoken: Spoken, over: str = "") -> Response:
    """Ask for a code."""
    return rendered(request, spoken, "welcome.html", over=bool(over), wrong=None)


@router.post("/{code}/")
def enter(request: Request, spoken: Spoken, form: Sent) -> Response:
    """Use up a code and begin a visit."""
    attempts, now = request.app.state.attempts, time.monotonic()
    if not attempts.allowed(now):
        raise HTTPException(429)
    try:
        typed = form.get("code", [""])[0]
        token = visits_of(request).enter(typed, now=registry_of(request).clock())
    except RefusedError:
        attempts.wrong(now)
        request.app.state.log("a wrong code")
        return rendered(request, spoken, "welcome.html", status=403, over=False, wrong=_WRONG_CODE)
    request.app.state.log("a visit begins")
    answer = RedirectResponse(f"/{spoken.code}/me", 303)
    answer.set_cookie(
        COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return answer


@router.get("/{code}/help")
def explain(request: Request, spoken: Spoken) -> Response:
    """Answer questions that patients have."""
    return rendered(request, spoken, "help.html")


@router.get("/{code}/me")
def overview(visit: Visiting, done: str = "") -> Response:
    """Say what is in force."""
    return _overview(visit, notice=_DONE.get(done))


@router.get("/{code}/answer/{activity}")
def ask(visit: Visiting, activity: Activity) -> Response:
    """Show what can be allowed."""
    return _asked(visit, activity, {}, {})


@router.post("/{code}/answer/{activity}")
def answer(visit: Visiting, activity: Activity, form: Sent) -> Response:
    """Record what was ticked."""
    visit.check(form)
    choice = read_choice(
        form, activity=activity, illness=visit.dossier.illness, today=visit.dossier.today
    )
    if isinstance(choice, dict):
        return _asked(visit, activity, form, choice)
    return _record(visit, {activity: choice}, form, done="answered")


@router.get("/{code}/withdraw/{what}")
def ask_to_withdraw(visit: Visiting, what: str) -> Response:
    """Say what a withdrawal does; the second tap is on this page."""
    activities = _activities(what)
    return visit.page(
        "withdraw.html",
        what=what,
        activities=activities,
        seen={activity: _standing_version(visit, activity) for activity in activities},
        next_freeze=visit.registry.next_freeze,
    )


@router.post("/{code}/withdraw/{what}")
def withdraw(visit: Visiting, what: str, form: Sent) -> Response:
    """Record a no."""
    visit.check(form)
    choices = {}
    for activity in _activities(what):
        guardian = visit.registry.standing(visit.dossier, activity, visit.language).guardian
        holds = guardian is not None and guardian > visit.dossier.today
        choices[activity] = Choice(scope=None, majority=guardian if holds else None)
    return _record(visit, choices, form, done="withdrawn")


@router.get("/{code}/record")
def record(visit: Visiting) -> Response:
    """Say what is stored."""
    cases = visit.dossier.cases
    return visit.page(
        "record.html",
        known=cases is not None,
        tumours=tumours(cases or (), visit.language),
    )


@router.get("/{code}/uses")
def uses(visit: Visiting) -> Response:
    """Say which studies and projects the record belongs to."""
    return visit.page(
        "uses.html",
        known=visit.dossier.cases is not None,
        studies=visit.registry.studies(visit.dossier, visit.language),
        projects=visit.registry.projects(visit.dossier, visit.language),
        answers=visit.registry.answers(visit.dossier, visit.language),
    )


@router.get("/{code}/documents")
def documents(visit: Visiting) -> Response:
    """Offer what can be downloaded."""
    return visit.page(
        "documents.html", consents=visit.dossier.consents[::-1], receipts=visit.dossier.receipts
    )


@router.get("/{code}/documents/answer/{digest}")
def download_answer(visit: Visiting, digest: str) -> Response:
    """Hand out one answer as a FHIR resource."""
    document = visit.dossier.document(digest)
    if document is None:
        raise HTTPException(404)
    return _download(document, f"consent-{digest}.json", "application/fhir+json")


@router.get("/{code}/documents/receipt/{number}")
def download_receipt(visit: Visiting, number: int) -> Response:
    """Hand out one receipt, byte for byte as it was signed."""
    receipts = visit.dossier.receipts
    if not 1 <= number <= len(receipts):
        raise HTTPException(404)
    text = receipts[number - 1].encode()
    return _download(text, f"receipt-{number}.json", "application/json")


@router.post("/{code}/leave")
def leave(request: Request, spoken: Spoken, form: Sent) -> Response:
    """End the visit."""
    del form  # that it was sent by this site was checked
    visits_of(request).leave(request.cookies.get(COOKIE, ""))
    goodbye = rendered(
        request,
        spoken,
        "sentence.html",
        sentence=marked(
            "Your visit is over. This page has left nothing about you on this device, but for "
            "files that you have downloaded."
        ),
    )
    goodbye.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return goodbye


def _overview(visit: Visit, *, notice: str | None, status: int = 200) -> Response:
    return visit.page(
        "overview.html",
        status=status,
        notice=notice,
        standings=[
            visit.registry.standing(visit.dossier, activity, visit.language)
            for activity in (Activity.RECORDS, Activity.STATISTICS)
        ],
        next_freeze=visit.registry.next_freeze,
        questions=visit.request.app.state.questionnaires is not None,
    )


def _asked(visit: Visit, activity: Activity, form: Form, wrong: dict[str, str]) -> Response:
    """Show the form: as it was sent if something in it is wrong, else as it is in force."""
    standing = visit.registry.standing(visit.dossier, activity, visit.language)
    if wrong:
        filled = {name: list(values) for name, values in form.items()}
    else:
        filled = _filled(standing.choice)
    return visit.page(
        "answer.html",
        status=422 if wrong else 200,
        activity=activity,
        standing=standing,
        scopes=SCOPES
        if visit.dossier.illness
        else {k: v for k, v in SCOPES.items() if k != "illness"},
        illnesses=illnesses(visit.dossier.cases or (), visit.language),
        limits={name: limit_words(name) for name in LIMITS_OF[activity]},
        filled=filled,
        wrong=wrong,
        seen=standing.version,
    )


def _filled(choice: Choice | None) -> dict[str, list[str]]:
    if choice is None:
        return {"who": ["patient"]}
    filled = {
        "scope": [choice.scope or "no"],
        "limit": sorted(choice.limits),
        "who": ["patient" if choice.majority is None else "guardian"],
    }
    if choice.last_day is not None:
        filled["until"] = [choice.last_day.isoformat()]
    if choice.majority is not None:
        filled["majority"] = [choice.majority.isoformat()]
    return filled


def _record(visit: Visit, choices: dict[Activity, Choice], form: Form, *, done: str) -> Response:
    try:
        seen = {activity: int(form.get(f"seen-{activity}", ["-1"])[0][:10]) for activity in choices}
    except ValueError:
        raise HTTPException(400) from None
    try:
        new = visit.registry.answer(
            visit.dossier.patient, choices, seen=seen, language=visit.language.code
        )
    except RefusedError:
        return _overview(visit, notice=_MEANWHILE, status=409)
    if new:
        visit.request.app.state.log("an answer is recorded")
    return RedirectResponse(f"/{visit.language.code}/me?done={done if new else 'same'}", 303)


def _activities(what: str) -> tuple[Activity, ...]:
    if what not in _TAKEN_BACK:
        raise HTTPException(404)
    return _TAKEN_BACK[what]


def _standing_version(visit: Visit, activity: Activity) -> int:
    return visit.registry.standing(visit.dossier, activity, visit.language).version


def _download(content: bytes, name: str, kind: str) -> Response:
    disposition = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=kind, headers=disposition)
