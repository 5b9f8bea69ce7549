"""How a request for a key looks on a terminal and in JSON, to a registry and to who asked."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from upcare_mpc.access.application import Application
from upcare_mpc.access.papers import Filing
from upcare_mpc.access.topic import Topic
from upcare_mpc.access.words import disease_words, purpose_words
from upcare_mpc.authority.requests import researcher_name
from upcare_mpc.config import Certified, Policy
from upcare_mpc.consent import duo

__all__ = ["as_json", "asked_lines", "certified_words", "story_lines"]

_WIDTH = 12


def asked_lines(filing: Filing) -> Iterator[str]:
    """Say what is asked: all that an operator decides on, and that a policy does not say."""
    application, digest = filing.application, filing.request.digest.hex()
    yield f"{digest[:12]}  {application.project}: {application.title}"
    yield _line("for", "; ".join(purpose_words(application.purposes)))
    yield _line("on", disease_words(application.diseases))
    yield _line("records of", f"{', '.join(application.registries)}, in {application.epoch}")
    if claims := _claims(application):
        yield _line("she claims", claims)
    for code, line in sorted(application.evidence.items()):
        yield _line(duo.OBLIGATIONS[code], line)
    yield _line("until", f"{_day(filing)}; then no key is issued any more")


def certified_words(filing: Filing, policy: Policy) -> str:
    """Say who asks, as a registry's policy knows her, and what it certifies of her."""
    name = researcher_name(policy, filing.key)
    if name is None:
        return f"nobody whom the policy knows: key {filing.key.hex()}"
    known = policy.certified.get(filing.key, Certified())
    said = [*sorted(known.claims), *([f"region {known.region}"] if known.region else [])]
    return f"{name}, certified here: {', '.join(said) or 'nothing'}"


def story_lines(topic: Topic) -> Iterator[str]:
    """Say what has happened to a request."""
    yield _line("approved", ", ".join(sorted(topic.approvals)) or "by nobody yet")
    for name, refusal in sorted(topic.refusals.items()):
        yield _line("refused", f"{name}: {refusal.reason}")
    yield _line("issued", ", ".join(sorted(topic.fragments)) or "by nobody yet")
    for fetched in topic.fetches:
        yield _line("fetched", f"{fetched.registry}, edition {fetched.edition}")
    for line in topic.passed_over:
        yield _line("warning", line)


def as_json(filing: Filing, topic: Topic) -> dict[str, Any]:
    """The same, JSON-ready."""
    application, request = filing.application, filing.request
    return {
        "request": request.digest.hex(),
        "project": application.project,
        "title": application.title,
        "researcher_key": filing.key.hex(),
        "purposes": sorted(application.purposes),
        "purposes_in_words": purpose_words(application.purposes),
        "diseases": disease_words(application.diseases),
        "registries": list(application.registries),
        "epoch": application.epoch,
        "claims": sorted(application.claims),
        "region": application.region,
        "evidence": {
            duo.OBLIGATIONS[code]: line for code, line in sorted(application.evidence.items())
        },
        "attributes": list(request.attributes),
        "not_after": request.not_after,
        "approved": sorted(topic.approvals),
        "refused": {name: paper.reason for name, paper in sorted(topic.refusals.items())},
        "issued": sorted(topic.fragments),
        "fetched": [{"registry": one.registry, "edition": one.edition} for one in topic.fetches],
        "passed_over": list(topic.passed_over),
    }


def _claims(application: Application) -> str:
    region = [f"region {application.region}"] if application.region else []
    return ", ".join([*sorted(application.claims), *region])


def _day(filing: Filing) -> str:
    return datetime.fromtimestamp(filing.request.not_after, UTC).date().isoformat()


def _line(name: str, text: str) -> str:
    return f"  {name:{_WIDTH}}  {text}"
