"""A public interface in this process, and a platform in memory that checks what is signed."""

import asyncio
import datetime
import json
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Self

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc.api.app import create_app
from upcare_mpc.api.limits import Limits
from upcare_mpc.client.gateway import Gateway
from upcare_mpc.client.platform import Answer, CatalogueEntry, Event, ListedStudy
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.client.rest import RestPlatform
from upcare_mpc.client.signed_json import (
    Authorization,
    ResultParts,
    SignedRequest,
    authorization_text,
    read_result,
    request_json,
)
from upcare_mpc.client.tokens import SCOPES, new_token
from upcare_mpc.config import Agreement
from upcare_mpc.errors import RefusedError, StudyError
from upcare_mpc.kinds.question import work_out
from upcare_mpc.link.certificates import Network, new_authority
from upcare_mpc.link.statements import (
    RequestMethod,
    check_authorization,
    check_request,
    question_digest,
)
from upcare_mpc.records.availability import Availability
from upcare_mpc.study.spec import Study, parse

AGREEMENT = Agreement(name="test", overlap=1, committee=3)
NETWORK = Network(new_authority("test", now=datetime.datetime.now(datetime.UTC)).certificate_pem)
OTHER_NETWORK = Network(
    new_authority("other", now=datetime.datetime.now(datetime.UTC)).certificate_pem
)
COLLECTION = b"c" * 32
SINCE = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)
PARTS: ResultParts = read_result(
    {
        "descriptor": "eyJhIjoxfQ==",
        "request": {
            "study": "{}",
            "signing_key": "44" * 32,
            "sealing_key": "55" * 32,
            "not_after": 1_800_000_000,
            "nonce": "66" * 16,
            "method": "submit",
            "collection": "",
            "signature": "77" * 64,
        },
        "certificates": ["-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"],
        "outputs": [
            {
                "session_digest": "11" * 32,
                "index": 2,
                "agreement": "22" * 32,
                "sealed": "AQIDBA==",
                "signature": "3045",
                "dropped": [4, 7],
            }
        ],
        "spent": [
            {
                "registry": "de-a",
                "session_digest": "11" * 32,
                "epsilon": "1/2",
                "rho": "1/8",
                "delta": "1/1099511627776",
                "signature": "3046",
            }
        ],
        "collection": "eyJiIjoxfQ==",
        "findings": [
            {"collection": "33" * 32, "findings": "eyJjIjoxfQ==", "signature": "3047"},
        ],
    }
)
"""An envelope, in form; nothing in it is true."""
DONE = ("submitted", "approvals", "noise", "sharing", "opening", "done")


def study(title: str = "Sexes", **changed: Any) -> Study:
    """A small cross-table."""
    content = {
        "version": 1,
        "title": title,
        "kind": "counts",
        "purpose": "DUO:0000007",
        "registries": ["de-a", "de-b", "fr-a"],
        "overlap": 1,
        "cohort": {"where": "age >= 18"},
        "privacy": {"epsilon": 1.0},
        "counts": {"by": ["sex"]},
    } | changed
    if content["kind"] != "counts":
        del content["counts"]
    return parse(json.dumps(content), name="study")


def researcher(network: Network = NETWORK) -> Researcher:
    """Somebody with new keys."""
    return Researcher(
        signing=Ed25519PrivateKey.generate(),
        sealing=X25519PrivateKey.generate(),
        network=network,
        agreement=AGREEMENT,
        platform="localhost:1",
    )


def token(who: Researcher, *scopes: str, seconds: int = 3600, now: float | None = None) -> str:
    """A token of hers, for everything unless scopes are named."""
    return new_token(who, scopes or SCOPES, seconds=seconds, now=now or time.time())


def bearing(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def authorized(who: Researcher, method: str, about: Study | None = None) -> dict[str, str]:
    digest = b"" if about is None else about.digest
    authorization = who.authorize(digest, method, now=time.time())
    return {"Upcare-Authorization": authorization_text(authorization)}


@dataclass
class FakeGateway(Gateway):
    """Stands for the way to the platform.

    Attributes:
        asked: Question digest to what was submitted, in order.
        story: Phases that everybody hears.
        deposits: That a study has taken which is collecting; None: none is collecting.
        without: Registries without which one was closed.
        parts: What a finished study has.
        fails: Raised by every call, if set.
        silent_after: Tell so many events, and then nothing.
    """

    asked: dict[bytes, SignedRequest] = field(default_factory=dict)
    story: tuple[str, ...] = DONE
    parts: ResultParts = ()
    deposits: int | None = None
    without: tuple[str, ...] = ()
    fails: Exception | None = None
    silent_after: int | None = None
    calls: list[str] = field(default_factory=list)
    watching: int = 0

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.fails is not None:
            raise self.fails

    async def preview(self, request: SignedRequest) -> list[Answer]:
        self._call("preview")
        asked = self._question(request, "preview")
        return [
            Answer(
                registry=name,
                verdict="yes",
                reason="",
                epsilon_left=Fraction(7, 3),
                rho_left=None,
            )
            for name in asked.registries
        ]

    async def catalogue(self, *, within_s: float = 60) -> list[CatalogueEntry]:
        self._call("catalogue")
        stated = Availability(variables=frozenset({"sex", "age"}), years=(1999, 2023))
        return [
            CatalogueEntry(
                registry=name, attending=name != "fr-a", since=SINCE, availability=availability
            )
            for name, availability in (("de-a", stated), ("de-b", None), ("fr-a", stated))
        ]

    async def submit(self, request: SignedRequest) -> tuple[bytes, bool]:
        self._call("submit")
        asked = self._question(request, "submit")
        key = question_digest(asked.digest, request.signing_key)
        known = key in self.asked
        self.asked[key] = request
        return asked.digest, known

    async def close_study(
        self, request: SignedRequest, without: Sequence[str]
    ) -> tuple[bytes, int]:
        self._call("close_study")
        asked = self._question(request, "close")
        if question_digest(asked.digest, request.signing_key) not in self.asked:
            raise StudyError("this researcher has not submitted such a study")
        if self.deposits is None:
            raise RefusedError("the study is not collecting deposits; it is done")
        if request.collection != COLLECTION:
            raise RefusedError("the request closes another collection")
        self.without = tuple(without)
        return asked.digest, self.deposits

    async def studies(
        self, authorization: Authorization, *, after: bytes = b"", limit: int
    ) -> tuple[list[ListedStudy], bool]:
        self._call("studies")
        listed = self._listed(authorization)
        if after:
            digests = [study.digest for study in listed]
            if after not in digests:
                raise StudyError("this researcher has not submitted such a study")
            listed = listed[digests.index(after) + 1 :]
        return listed[:limit], len(listed) > limit

    async def study(self, authorization: Authorization, digest: bytes) -> ListedStudy | None:
        self._call("study")
        return next((one for one in self._listed(authorization) if one.digest == digest), None)

    def _listed(self, authorization: Authorization) -> list[ListedStudy]:
        check_authorization(authorization, "list", now=time.time())
        own = [r for r in self.asked.values() if r.signing_key == authorization.signing_key]
        found = [Study.from_canonical(request.study) for request in reversed(own)]
        return [
            ListedStudy(
                digest=one.digest,
                title=one.title,
                state="done",
                reason="",
                submitted=SINCE,
                changed=SINCE,
                collection=b"" if self.deposits is None else COLLECTION,
            )
            for one in found
        ]

    async def watch(self, authorization: Authorization) -> AsyncGenerator[tuple[int, Event], None]:
        self._call("watch")
        self._own(authorization, "watch")
        self.watching += 1
        try:
            for n, phase in enumerate(self.story, start=1):
                last = n == len(self.story)
                yield n, Event(phase=phase, text=f"{phase} it is", time=float(n), last=last)
                if n == self.silent_after:
                    await asyncio.sleep(3600)
        finally:
            self.watching -= 1

    async def result(self, authorization: Authorization) -> ResultParts:
        self._call("result")
        self._own(authorization, "result")
        if not self.parts:
            raise RefusedError("the study has no result; it is running")
        return self.parts

    async def close(self) -> None:
        pass

    def _question(self, request: SignedRequest, method: RequestMethod) -> Study:
        check_request(request, method, now=time.time())
        asked = Study.from_canonical(request.study)
        work_out(asked, network_overlap=AGREEMENT.overlap)
        return asked

    def _own(self, authorization: Authorization, method: str) -> None:
        check_authorization(authorization, method, now=time.time())
        key = question_digest(authorization.study_digest, authorization.signing_key)
        if key not in self.asked:
            raise StudyError("this researcher has not submitted such a study")


def answered_by(handle: Callable[[httpx.Request], httpx.Response], who: Researcher) -> RestPlatform:
    """A client of which every call is answered by a function."""
    rest = RestPlatform("https://api.test", who)
    rest._client.close()
    rest._client = httpx.Client(
        transport=httpx.MockTransport(handle), base_url="https://api.test", timeout=5
    )
    return rest


class Interface:
    """Use as a context manager; ``ask`` makes one request.

    Attributes:
        platform: Behind it.
        logged: Lines of its log.
        me: A researcher of its network.
    """

    def __init__(self, limits: Limits | None = None, *, me: Researcher | None = None) -> None:
        self.platform = FakeGateway()
        self.logged: list[str] = []
        self.me = me or researcher()
        self.app = create_app(
            self.platform, self.me.network, AGREEMENT, log=self.logged.append, limits=limits
        )

    def rest(self, who: Researcher | None = None) -> RestPlatform:
        """A researcher's client of this interface."""

        def handle(request: httpx.Request) -> httpx.Response:
            answer = self.ask(
                request.method,
                request.url.raw_path.decode().removeprefix("/v1"),
                content=request.content,
                headers=request.headers,
            )
            return httpx.Response(answer.status_code, content=answer.content)

        return answered_by(handle, who or self.me)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, story: Coroutine[Any, Any, Any]) -> Any:
        """Run a story that makes several requests at once."""
        return asyncio.run(story)

    def client(self, address: str = "192.0.2.7") -> httpx.AsyncClient:
        """A client at an address."""
        transport = httpx.ASGITransport(
            app=self.app,  # type: ignore[arg-type]
            raise_app_exceptions=False,
            client=(address, 40_000),
        )
        return httpx.AsyncClient(transport=transport, base_url="https://api.test")

    def ask(
        self, method: str, path: str, *, address: str = "192.0.2.7", **sent: Any
    ) -> httpx.Response:
        """Make one request."""

        async def once() -> httpx.Response:
            async with self.client(address) as client:
                return await client.request(method, f"/v1{path}", **sent)

        return asyncio.run(once())

    def submit(
        self,
        asked: Study | None = None,
        *,
        who: Researcher | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Submit a study."""
        who = who or self.me
        sent = request_json(who.request(asked or study(), now=time.time()))
        return self.ask(
            "POST", "/studies", json=sent, headers={**bearing(token(who)), **(headers or {})}
        )


def problem(response: httpx.Response, code: str) -> str:
    """Assert that this is a problem of this kind and of the documented form; return its detail."""
    document = response.json()
    assert response.headers["content-type"] == "application/problem+json", document
    assert document["code"] == code, document
    assert document["type"] == f"urn:upcare:problem:{code}"
    assert document["status"] == response.status_code
    assert document["title"]
    return str(document["detail"])


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The data of the events of a story."""
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = response.text.splitlines()
    return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]
