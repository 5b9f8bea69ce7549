"""What is sent and answered, as OpenAPI describes it."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "CatalogueItem",
    "CataloguePage",
    "Closed",
    "Closing",
    "EventItem",
    "FindingsItem",
    "Health",
    "KindItem",
    "Kinds",
    "PreviewAnswer",
    "Problem",
    "Receipts",
    "SealedResult",
    "SignedStudy",
    "Stated",
    "StudyItem",
    "StudyPage",
    "Submitted",
    "VariableItem",
    "Variables",
]

_DIGEST: Final = "5f1c" * 16
Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", examples=["a3" * 32])]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", examples=[_DIGEST])]
Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$", examples=["VUNSMQ=="])]


def _whole(value: object) -> object:
    """JSON knows one sort of number: 5.0 is the whole number 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SignedStudy(_Model):
    """A signed question, as ``upcare researcher sign`` prints it."""

    study: str = Field(
        min_length=1,
        max_length=64 << 10,
        pattern=r"^[ -~]+$",
        description="The canonical study: versioned, sorted JSON in ASCII, as a string.",
        examples=['{"upcare_study":1,"cohort":"true", ...}'],
    )
    signing_key: Key = Field(description="Ed25519 public key of who asks.")
    sealing_key: Key = Field(description="X25519 public key that the result is sealed to.")
    not_after: Annotated[int, BeforeValidator(_whole)] = Field(
        ge=0,
        le=253_402_300_800,
        strict=True,
        description="End of validity, seconds since 1970; at most 31 days ahead.",
        examples=[1_800_000_000],
    )
    nonce: str = Field(pattern=r"^[0-9a-f]{32}$", examples=["0f" * 16])
    method: str = Field(
        pattern=r"^(preview|submit|close)$",
        examples=["submit"],
        description="What it is signed for; it can be sent to that route alone.",
    )
    collection: str = Field(
        pattern=r"^([0-9a-f]{64})?$",
        description="Digest of the collection that `close` closes; else empty.",
        examples=[""],
    )
    signature: str = Field(
        pattern=r"^[0-9a-f]{128}$",
        description="Ed25519 over the statement of docs/protocol.md, section 4.",
        examples=["c0" * 64],
    )


class Problem(BaseModel):
    """RFC 9457: why a request failed."""

    model_config = ConfigDict(json_schema_extra={"required": [
        "type", "title", "status", "detail", "code"]})  # fmt: skip

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = Field(None, description="With `internal` alone: what the log calls it.")


class Health(_Model):
    """That the interface is alive, and whether the platform behind it answers."""

    status: Literal["ok", "no platform"]
    version: str = Field(examples=["0.1.0"])
    network: str = Field(description="The network's name.", examples=["demo"])
    fingerprint: Digest = Field(
        description="SHA-256 of the network's CA certificate; what a token is for (`aud`)."
    )


class Stated(_Model):
    """What a registry's operator states about its data; nothing in it is computed from records."""

    variables: list[str] = Field(examples=[["site", "sex", "age", "diagnosis_year"]])
    years: list[int] = Field(min_length=2, max_length=2, examples=[[1999, 2023]])
    population: str
    note: str


class CatalogueItem(_Model):
    """One registry."""

    registry: str = Field(examples=["de-a"])
    attending: bool
    since: datetime = Field(description="When the platform first heard this statement.")
    stated: Stated | None = Field(description="Null: it states nothing.")


class CataloguePage(_Model):
    """Registries by name."""

    items: list[CatalogueItem]
    next: str | None = Field(description="`cursor` of the next page; null on the last.")


class KindItem(_Model):
    """One statistic."""

    name: str = Field(examples=["counts"])
    summary: str


class Kinds(_Model):
    """The statistics that can be asked for."""

    items: list[KindItem]


class VariableItem(_Model):
    """One variable of the study language."""

    name: str = Field(examples=["age"])
    type: Literal["code", "pattern", "number"]
    values: list[str] | None = Field(description="Of a code: all of them.")
    low: int | None = Field(description="Of a number: the smallest.")
    high: int | None = Field(description="Of a number: the largest.")
    unit: str | None = Field(description="Of a number.")
    wanted: str = Field(description="What a value has to be, in words.")
    meaning: str


class Variables(_Model):
    """The variables that a study may name."""

    items: list[VariableItem]


class QuoteItem(BaseModel):
    """What one registry would answer; promises nothing."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(examples=["de-a"])
    verdict: str = Field(description="yes, no, waits for its operator, or not connected.")
    reason: str
    epsilon_left: float | None = Field(description="Empty for a key that its policy does not list.")
    epsilon_left_exact: str | None = Field(description="The same as a fraction.")
    rho_left: float | None
    rho_left_exact: str | None
    lacks: dict[str, Any] | None = Field(
        description="Variables and years that it has not; null: it has stated nothing."
    )


class PreviewAnswer(BaseModel):
    """What follows from a study's text, and what the registries say; nothing was spent."""

    model_config = ConfigDict(extra="allow")

    study_digest: Digest
    cells: int = Field(description="Each carries noise.")
    mechanism: str
    epsilon: float
    delta: float
    scale: float = Field(description="Of the noise.")
    overlap: int
    error95: float = Field(description="95 % of the noise of a cell is within this.")
    expected: list[dict[str, Any]] = Field(
        description="For each figure how far the noise alone moves it 19 times in 20, for cohorts "
        "of 100, 1,000 and 10,000 patients; null where it would drown."
    )
    advice: list[str]
    registries: list[QuoteItem]


class Submitted(_Model):
    """A study that was submitted."""

    study_digest: Digest
    known: bool = Field(description="It was there already, running or answered: at no cost.")


class Closing(_Model):
    """That the deposits of a study are complete: the study, signed anew."""

    request: SignedStudy
    without: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}$")]] = Field(
        default=[],
        max_length=64,
        description="Registries of the study that do not attend, without which it shall run.",
        examples=[["de-c"]],
    )


class Closed(_Model):
    """A study whose deposits are complete; it runs now."""

    study_digest: Digest
    deposits: int = Field(description="How many were taken, before any check.")


class StudyItem(_Model):
    """How far a study is."""

    study_digest: Digest
    title: str
    state: str = Field(
        description="submitted, waiting, collecting, running, done, refused or failed."
    )
    reason: str = Field(description="Why it was refused or failed; else empty.")
    submitted: datetime
    changed: datetime
    collection: Digest | None = Field(description="Of its deposits, as the platform says.")


class StudyPage(_Model):
    """Studies of one key, newest first."""

    items: list[StudyItem]
    next: str | None = Field(description="`cursor` of the next page; null on the last.")


class EventItem(_Model):
    """`data` of one event of a study's story."""

    sequence: int
    time: float = Field(description="Seconds since 1970.")
    phase: str
    text: str
    last: bool


class OutputItem(_Model):
    """One computing registry's share of the noisy result, sealed to the researcher."""

    session_digest: Digest
    index: int
    agreement: Digest
    sealed: Base64
    signature: str
    dropped: list[int] = Field(description="Deposits that were no valid answer.")


class SpentItem(_Model):
    """What one registry has signed that it charged; exact fractions."""

    registry: str
    session_digest: Digest
    epsilon: str
    rho: str
    delta: str
    signature: str


class FindingsItem(_Model):
    """What one holder has found about the deposits."""

    collection: Digest
    findings: Base64 = Field(description="Canonical.")
    signature: str


class SealedResult(_Model):
    """All that the platform has of a finished study. Only the researcher's key opens it."""

    descriptor: Base64 = Field(description="Canonical session descriptor.")
    request: SignedStudy | None = Field(
        description="What the registries of the session agreed to; certificates that were in force "
        "then are good for it."
    )
    certificates: list[str] = Field(description="PEM, in the order of the roster.")
    outputs: list[OutputItem]
    spent: list[SpentItem]
    collection: Base64 | None = Field(description="Canonical; null for a study without deposits.")
    findings: list[FindingsItem]


class Receipts(_Model):
    """What the registries of a finished study have signed that they charged."""

    descriptor: Base64
    certificates: list[str]
    receipts: list[SpentItem]
