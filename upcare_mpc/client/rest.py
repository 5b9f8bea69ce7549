"""Calling a network over its public interface: what ``PlatformClient`` does, in HTTPS and JSON.

The interface is trusted with as little as the platform: questions are signed here, results are
sealed to the researcher and checked here.
"""

import contextlib
import ipaddress
import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

import httpx

from upcare_mpc.client.platform import (
    Answer,
    CatalogueEntry,
    Event,
    ListedStudy,
    collection_of,
)
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.client.result import OpenedResult, open_parts
from upcare_mpc.client.signed_json import authorization_text, read_result, request_json
from upcare_mpc.client.tokens import SCOPES, new_token
from upcare_mpc.client.words import exact_fraction, one_line
from upcare_mpc.errors import ConfigError, LinkError, ProtocolError, RefusedError
from upcare_mpc.link.certificates import host_of
from upcare_mpc.records.availability import Availability
from upcare_mpc.records.variables import VARIABLES
from upcare_mpc.study.spec import Study

__all__ = ["API_HOST", "RestPlatform"]

API_HOST: Final = host_of("api", "platform")
"""The name in the certificate that a network gives to its public interface."""

_CALL_S: Final = 75.0  # the interface gives the platform 60
_QUIET_S: Final = 60.0  # a story says something every 15 s
_CONNECT_S: Final = 15.0
_ANSWER_S: Final = 300.0  # for a whole answer
_EMPTY_ROUNDS: Final = 5  # of a story in which nothing is told
_TOKEN_S: Final = 3600
_MAX_ANSWER: Final = 64 << 20
_MAX_LINE: Final = 64 << 10
_MAX_ENTRIES: Final = 10_000
_PAGE: Final = 100
_PAUSE_S: Final = 1.0  # before a story is taken up again
_LATER: Final = {408, 429, 500, 502, 503, 504}


class RestPlatform:
    """A researcher's connection to the public interface; use as a context manager."""

    def __init__(self, url: str, researcher: Researcher, *, ca: Path | None = None) -> None:
        """Prepare; nobody is called.

        Args:
            url: ``https://host:port``; ``http`` on this machine alone.
            researcher: Who asks.
            ca: Certificates (PEM) that vouch for the host in the URL. Without it the network's own
                CA has to vouch for the network's interface, whatever the URL calls it.

        Raises:
            ConfigError: The URL or the file is not usable.
        """
        self._researcher = researcher
        self._token = ""
        self._expires = 0.0
        base = _base(url)
        trust = ssl.create_default_context()
        if base.scheme == "https":
            try:
                if ca is None:
                    trust = ssl.create_default_context(
                        cadata=researcher.network.ca_pem.decode("ascii")
                    )
                else:
                    trust = ssl.create_default_context(cafile=ca)
            except (OSError, ValueError):
                raise ConfigError("ca: wanted a file of certificates, in PEM") from None
        self._extensions = {"sni_hostname": API_HOST} if ca is None else {}
        self._client = httpx.Client(
            base_url=base,
            verify=trust,
            trust_env=not _on_this_machine(base.host),
            timeout=httpx.Timeout(_CALL_S, connect=_CONNECT_S),
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"accept-encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def preview(self, study: Study) -> list[Answer]:
        """Ask what every registry would say; spends nothing.

        Raises:
            RefusedError: The request is refused.
            LinkError: The interface or the platform cannot be reached.
        """
        request = self._researcher.request(study, "preview", now=time.time())
        answer = self._call("POST", "/v1/previews", json=request_json(request))
        with _understood():
            return [
                Answer(
                    registry=one_line(row["name"]),
                    verdict=one_line(row["verdict"]),
                    reason=one_line(row["reason"]),
                    epsilon_left=_fraction(row["epsilon_left_exact"]),
                    rho_left=_fraction(row["rho_left_exact"]),
                )
                for row in answer["registries"]
            ]

    def catalogue(self) -> list[CatalogueEntry]:
        """List what the registries state about their data; asks no registry, spends nothing.

        Raises:
            ProtocolError: An entry is not a statement that a registry can make.
            LinkError: The interface or the platform cannot be reached.
        """
        entries: list[CatalogueEntry] = []
        query: dict[str, Any] = {"limit": _PAGE}
        while True:
            page = self._call("GET", "/v1/catalogue", params=query)
            with _understood():
                entries += [_entry(item) for item in page["items"]]
                if page["next"] is None:
                    return entries
                query["cursor"] = str(page["next"])
            if not page["items"] or len(entries) > _MAX_ENTRIES:
                raise ProtocolError(
                    f"a catalogue has at most {_MAX_ENTRIES} entries, no empty page"
                )

    def studies(self) -> list[ListedStudy]:
        """List her studies, newest first, and how far each is; spends nothing.

        Raises:
            LinkError: The interface or the platform cannot be reached.
        """
        listed: list[ListedStudy] = []
        query: dict[str, Any] = {"limit": _PAGE}
        while True:
            headers = self._authorized(b"", "list")
            page = self._call("GET", "/v1/studies", headers=headers, params=query)
            with _understood():
                listed += [_study(item) for item in page["items"]]
                if page["next"] is None:
                    return listed
                query["cursor"] = str(page["next"])
            if not page["items"] or len(listed) > _MAX_ENTRIES:
                raise ProtocolError(f"a list has at most {_MAX_ENTRIES} studies, no empty page")

    def submit(self, study: Study) -> bool:
        """Submit a study, or attach to it.

        Returns:
            Whether it was already there, running or answered.
        """
        request = self._researcher.request(study, now=time.time())
        answer = self._call("POST", "/v1/studies", json=request_json(request))
        with _understood():
            return _flag(answer, "known")

    def close(self, study: Study, without: Sequence[str] = ()) -> int:
        """End the collecting of a study's deposits and run it; follow it with ``watch``.

        Args:
            study: The study, which is collecting.
            without: Its registries that do not attend, and without which it shall run.

        Returns:
            How many deposits were taken, before any check.
        """
        place = f"/v1/studies/{study.digest.hex()}"
        item = self._call("GET", place, headers=self._authorized(b"", "list"))
        with _understood():
            collection = collection_of(_study(item))
        request = self._researcher.request(study, "close", now=time.time(), collection=collection)
        answer = self._call(
            "POST",
            f"{place}/close",
            json={"request": request_json(request), "without": list(without)},
        )
        with _understood():
            return _whole(answer, "deposits")

    def watch(self, study: bytes) -> Iterator[Event]:
        """Follow a study's story to its end.

        Where the interface ends a long connection, the story is taken up again.

        Raises:
            RefusedError: There is no such study of hers.
            LinkError: The interface or the platform is lost.
        """
        heard = empty = 0
        while True:
            alive, empty, begun = False, empty + 1, time.monotonic()
            for line in self._lines(study, heard):
                alive = True
                if not line.startswith("data:"):
                    continue
                empty = 0
                with _understood():
                    said = json.loads(line.removeprefix("data:"))
                    if "status" in said:
                        raise _error(said["status"], said)
                    heard = _whole(said, "sequence")
                    event = Event(
                        phase=one_line(said["phase"]),
                        text=one_line(said["text"]),
                        time=float(said["time"]),
                        last=_flag(said, "last"),
                    )
                yield event
                if event.last:
                    return
            if not alive or (empty > _EMPTY_ROUNDS and time.monotonic() - begun < _QUIET_S):
                raise LinkError("the interface ended the story before the study ended")
            time.sleep(_PAUSE_S)

    def result(self, study: Study) -> OpenedResult:
        """Fetch, check and open the result of a finished study.

        Raises:
            RefusedError: There is none.
            OpeningError: The sealed shares do not open or do not belong together.
        """
        answer = self._call(
            "GET",
            f"/v1/studies/{study.digest.hex()}/result",
            headers=self._authorized(study.digest, "result"),
        )
        return open_parts(read_result(answer), study, self._researcher)

    # -- small things ---------------------------------------------------------------------------

    def _headers(self) -> dict[str, str]:
        now = time.time()
        if now > self._expires - _TOKEN_S / 2:
            self._token = new_token(self._researcher, SCOPES, seconds=_TOKEN_S, now=now)
            self._expires = now + _TOKEN_S
        return {"Authorization": f"Bearer {self._token}"}

    def _authorized(self, study: bytes, method: str) -> dict[str, str]:
        authorization = self._researcher.authorize(study, method, now=time.time())
        return {"Upcare-Authorization": authorization_text(authorization)}

    def _call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **sent: Any
    ) -> Any:
        """Call once and return the JSON object of the answer."""
        with (
            _reached(),
            self._client.stream(
                method,
                path,
                headers={**self._headers(), **(headers or {})},
                extensions=self._extensions,
                **sent,
            ) as response,
        ):
            return _answer(response)

    def _lines(self, study: bytes, heard: int) -> Iterator[str]:
        headers = {**self._headers(), **self._authorized(study, "watch")}
        if heard:
            headers["Last-Event-ID"] = str(heard)
        with (
            _reached(),
            self._client.stream(
                "GET",
                f"/v1/studies/{study.hex()}/events",
                headers=headers,
                timeout=httpx.Timeout(_CALL_S, read=_QUIET_S, connect=_CONNECT_S),
                extensions=self._extensions,
            ) as response,
        ):
            if not response.is_success:
                _answer(response)
            begun = b""
            for part in _parts(response):
                *lines, begun = (begun + part).split(b"\n")
                if len(begun) > _MAX_LINE:
                    raise ProtocolError(f"a line of a story has at most {_MAX_LINE >> 10} KiB")
                for line in lines:
                    yield line.decode("utf-8", "replace").rstrip("\r")


def _base(url: str) -> httpx.URL:
    try:
        base = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        raise ConfigError("wanted the address of a public interface, https://host:port") from None
    plain = base.scheme == "http" and _on_this_machine(base.host)
    if not base.host or not (plain or base.scheme == "https"):
        raise ConfigError("wanted the address of a public interface, https://host:port")
    return base


def _on_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parts(response: httpx.Response) -> Iterator[bytes]:
    """The bytes of an answer; one that is packed is refused before it is unpacked."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ProtocolError("wanted an answer that is not packed")
    yield from response.iter_bytes()


def _answer(response: httpx.Response) -> dict[str, Any]:
    """Read the JSON object of an answer, or raise the error that it stands for."""
    content, end = bytearray(), time.monotonic() + _ANSWER_S
    for part in _parts(response):
        content += part
        if time.monotonic() > end:
            raise LinkError(f"the interface did not finish its answer within {_ANSWER_S:g} s")
        if len(content) > _MAX_ANSWER:
            raise ProtocolError(f"an answer has at most {_MAX_ANSWER >> 20} MiB")
    with _understood():
        answer = json.loads(bytes(content))
        if not isinstance(answer, dict):
            raise TypeError
    if not response.is_success:
        raise _error(response.status_code, answer)
    return answer


def _error(status: int, problem: Mapping[str, Any]) -> RefusedError | LinkError:
    """The error that a problem document stands for."""
    detail = one_line(str(problem.get("detail") or problem.get("title") or f"status {status}"))
    return LinkError(detail) if status in _LATER else RefusedError(detail)


@contextlib.contextmanager
def _reached() -> Iterator[None]:
    """Turn errors of the connection into ours."""
    try:
        yield
    except (httpx.ConnectError, ssl.SSLError) as error:
        if "certificate" in str(error).lower():
            raise LinkError(
                "no trusted connection to the interface: its certificate is not accepted"
            ) from None
        raise LinkError("the interface cannot be reached") from None
    except (httpx.HTTPError, httpx.StreamError, OSError, RuntimeError):
        raise LinkError("the interface cannot be reached, or did not answer in time") from None


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """Turn an answer of another form into our error."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError):
        raise ProtocolError("the interface answers what cannot be understood") from None


def _flag(answer: Mapping[str, Any], name: str) -> bool:
    """Read a field that is true or false.

    Raises:
        ProtocolError: It is something else.
    """
    value = answer[name]
    if not isinstance(value, bool):
        raise ProtocolError(_other_form(name, "true or false", value))
    return value


def _whole(answer: Mapping[str, Any], name: str) -> int:
    """Read a field that is a whole number from 0 on; errors as of ``_flag``."""
    value = answer[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ProtocolError(_other_form(name, "a whole number from 0 on", value))
    return value


def _other_form(name: str, wanted: str, value: object) -> str:
    return (
        f"the interface's answer: {name}: wanted {wanted}, got {one_line(json.dumps(value))[:80]}"
    )


def _fraction(text: str | None) -> Any:
    return None if text is None else exact_fraction(text)


def _study(item: Mapping[str, Any]) -> ListedStudy:
    return ListedStudy(
        digest=bytes.fromhex(item["study_digest"]),
        title=one_line(item["title"]),
        state=one_line(item["state"]),
        reason=one_line(item["reason"]),
        submitted=datetime.fromisoformat(item["submitted"]),
        changed=datetime.fromisoformat(item["changed"]),
        collection=bytes.fromhex(item["collection"] or ""),
    )


def _entry(item: Mapping[str, Any]) -> CatalogueEntry:
    stated = item["stated"]
    try:
        availability = (
            None
            if stated is None
            else Availability(
                variables=frozenset(VARIABLES).intersection(stated["variables"]),
                years=(stated["years"][0], stated["years"][1]),
                population=stated["population"],
                note=stated["note"],
            )
        )
    except ConfigError as error:
        raise ProtocolError(f"catalogue: {error}") from None
    return CatalogueEntry(
        registry=one_line(item["registry"]),
        attending=_flag(item, "attending"),
        since=datetime.fromisoformat(item["since"]),
        availability=availability,
    )
