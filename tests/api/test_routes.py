"""What each route answers."""

import time
from fractions import Fraction

import httpx
import pytest
from interface import (
    COLLECTION,
    DONE,
    NETWORK,
    Interface,
    authorized,
    bearing,
    events,
    problem,
    researcher,
    study,
    token,
)

from upcare_mpc import __version__
from upcare_mpc.client.signed_json import request_json
from upcare_mpc.errors import LinkError
from upcare_mpc.kinds import KINDS
from upcare_mpc.records.variables import VARIABLES


def test_it_is_alive_and_says_whose_it_is(interface: Interface) -> None:
    answer = interface.ask("GET", "/health")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "version": __version__,
        "network": "test",
        "fingerprint": NETWORK.fingerprint.hex(),
    }


def test_it_is_alive_without_a_platform(interface: Interface) -> None:
    interface.platform.fails = LinkError("the platform cannot be reached")

    answer = interface.ask("GET", "/health")

    assert (answer.status_code, answer.json()["status"]) == (200, "no platform")


def test_kinds_and_variables_are_those_of_the_program(interface: Interface) -> None:
    kinds = interface.ask("GET", "/kinds").json()["items"]
    variables = {one["name"]: one for one in interface.ask("GET", "/variables").json()["items"]}

    assert [kind["name"] for kind in kinds] == list(KINDS)
    assert all(kind["summary"].endswith(".") for kind in kinds)
    assert list(variables) == list(VARIABLES)
    assert variables["age"]["high"] == 120
    assert variables["sex"]["values"] == ["female", "male", "other"]
    assert variables["icd10"]["values"] is None


def test_the_catalogue_comes_in_pages_that_join(interface: Interface) -> None:
    headers = bearing(token(interface.me, "catalogue"))
    whole = interface.ask("GET", "/catalogue", headers=headers).json()
    found, query = [], {"limit": "2"}
    while True:
        page = interface.ask("GET", "/catalogue", headers=headers, params=query).json()
        found += page["items"]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]

    assert whole["next"] is None
    assert found == whole["items"]
    assert [one["registry"] for one in found] == ["de-a", "de-b", "fr-a"]
    assert found[1]["stated"] is None
    assert found[0]["stated"]["variables"] == ["sex", "age"]


def test_a_made_up_cursor_of_the_catalogue_is_a_name_to_go_on_after(interface: Interface) -> None:
    headers = bearing(token(interface.me))

    def after(mark: bytes) -> list[str]:
        query = {"cursor": mark.hex()}
        page = interface.ask("GET", "/catalogue", headers=headers, params=query).json()
        return [one["registry"] for one in page["items"]]

    assert after(b"de-az") == ["de-b", "fr-a"]
    assert after(b"\xff") == []


def test_all_methods_of_a_place_are_named(interface: Interface) -> None:
    for path, allowed in (("/studies", "GET, POST"), (f"/studies/{'0' * 64}", "GET")):
        answer = interface.ask("DELETE", path)

        assert problem(answer, "method") == f"wanted {allowed}"
        assert answer.headers["allow"] == allowed


def test_a_preview_says_what_it_costs_and_what_registries_say(interface: Interface) -> None:
    sent = request_json(interface.me.request(study(), "preview", now=time.time()))

    answer = interface.ask(
        "POST", "/previews", json=sent, headers=bearing(token(interface.me, "studies:read"))
    )

    told = answer.json()
    assert answer.status_code == 200
    assert told["study_digest"] == study().digest.hex()
    assert (told["cells"], told["epsilon"], told["overlap"]) == (3, 1.0, 1)
    assert told["expected"]
    assert [row["name"] for row in told["registries"]] == ["de-a", "de-b", "fr-a"]
    assert Fraction(told["registries"][0]["epsilon_left_exact"]) == Fraction(7, 3)
    assert told["registries"][1]["lacks"] is None
    assert told["registries"][0]["lacks"] == {"variables": [], "years": []}
    assert "submit" not in interface.platform.calls


def test_a_study_is_new_once(interface: Interface) -> None:
    first, second = interface.submit(), interface.submit()

    assert (first.status_code, second.status_code) == (201, 200)
    assert (first.json()["known"], second.json()["known"]) == (False, True)
    assert first.headers["Location"] == f"/v1/studies/{study().digest.hex()}"
    assert first.json()["study_digest"] == study().digest.hex()


def closing(
    interface: Interface, *without: str, path: str = "", scope: str = "studies:write"
) -> httpx.Response:
    """Say that the deposits of the study are complete."""
    asked = interface.me.request(study(), "close", now=time.time(), collection=COLLECTION)
    request = request_json(asked)
    return interface.ask(
        "POST",
        f"/studies/{path or study().digest.hex()}/close",
        json={"request": request, "without": list(without)},
        headers=bearing(token(interface.me, scope)),
    )


def test_a_study_that_collects_is_closed(interface: Interface) -> None:
    interface.submit()
    interface.platform.deposits = 12

    closed = closing(interface, "fr-a")

    assert closed.status_code == 200
    assert closed.json() == {"study_digest": study().digest.hex(), "deposits": 12}
    assert interface.platform.without == ("fr-a",)


def test_only_what_collects_is_closed_and_by_whom_it_belongs_to(interface: Interface) -> None:
    problem(closing(interface), "not_found")
    interface.submit()
    assert "not collecting" in problem(closing(interface), "refused")
    interface.platform.deposits = 12
    problem(closing(interface, path="00" * 32), "not_found")
    problem(closing(interface, scope="studies:read"), "token.scope")
    problem(closing(interface, "no name"), "request")


def test_studies_are_listed_newest_first_in_pages(interface: Interface) -> None:
    asked = [study(f"Study {n}") for n in range(5)]
    for one in asked:
        interface.submit(one)
    interface.submit(study("of somebody else"), who=researcher())
    headers = bearing(token(interface.me, "studies:read")) | authorized(interface.me, "list")

    titles, query = [], {"limit": "2"}
    while True:
        page = interface.ask("GET", "/studies", headers=headers, params=query).json()
        titles += [one["title"] for one in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]

    assert titles == [one.title for one in reversed(asked)]


def test_a_cursor_of_another_list_is_said(interface: Interface) -> None:
    interface.submit()
    headers = bearing(token(interface.me)) | authorized(interface.me, "list")

    answer = interface.ask("GET", "/studies", headers=headers, params={"cursor": "00" * 32})

    assert "cursor" in problem(answer, "not_found")


def test_the_state_of_a_study(interface: Interface) -> None:
    interface.submit()
    headers = bearing(token(interface.me)) | authorized(interface.me, "list")

    known = interface.ask("GET", f"/studies/{study().digest.hex()}", headers=headers)
    unknown = interface.ask("GET", f"/studies/{'00' * 32}", headers=headers)

    assert (known.json()["state"], known.json()["title"]) == ("done", "Sexes")
    problem(unknown, "not_found")


def test_a_story_is_told_to_its_end(interface: Interface) -> None:
    interface.submit()
    headers = bearing(token(interface.me)) | authorized(interface.me, "watch", study())

    answer = interface.ask("GET", f"/studies/{study().digest.hex()}/events", headers=headers)

    told = events(answer)
    assert tuple(event["phase"] for event in told) == DONE
    assert [event["sequence"] for event in told] == list(range(1, len(DONE) + 1))
    assert [event["last"] for event in told] == [False] * (len(DONE) - 1) + [True]
    assert f"id: {len(DONE)}\n" in answer.text


def test_a_story_is_taken_up_where_it_was_left(interface: Interface) -> None:
    interface.submit()
    headers = bearing(token(interface.me)) | authorized(interface.me, "watch", study())

    answer = interface.ask(
        "GET",
        f"/studies/{study().digest.hex()}/events",
        headers=headers | {"Last-Event-ID": "4"},
    )

    assert tuple(event["phase"] for event in events(answer)) == DONE[4:]


def test_nobody_hears_the_story_of_a_study_that_is_not_hers(interface: Interface) -> None:
    interface.submit()
    other = researcher()
    headers = bearing(token(other)) | authorized(other, "watch", study())

    answer = interface.ask("GET", f"/studies/{study().digest.hex()}/events", headers=headers)

    problem(answer, "not_found")
    assert interface.platform.watching == 0


def test_no_result_yet_is_a_refusal(interface: Interface) -> None:
    interface.submit()
    headers = bearing(token(interface.me)) | authorized(interface.me, "result", study())

    answer = interface.ask("GET", f"/studies/{study().digest.hex()}/result", headers=headers)

    assert "no result" in problem(answer, "refused")


@pytest.mark.parametrize("path", ["/health", "/nothing", "/studies"])
def test_every_answer_carries_the_headers(interface: Interface, path: str) -> None:
    answer = interface.ask("GET", path)

    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "max-age" in answer.headers["strict-transport-security"]
    assert "access-control-allow-origin" not in answer.headers
