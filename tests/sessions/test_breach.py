"""The breach drill, as it is run: nothing is found at the platform, and every planted leak is."""

import json

import pytest
from command import upcare

pytestmark = [pytest.mark.parties, pytest.mark.slow]


def test_nothing_is_found_and_every_planted_leak_is() -> None:
    ran = upcare("breach", "--json", within_s=400)
    assert ran.status == 0, ran.err
    report = json.loads(ran.out)
    assert report["found"] == []
    assert report["not_searched"] == []
    assert report["overlooked"] == []
    assert report["places"].keys() == {"database", "vault", "settings", "log", "memory"}
    assert report["places"]["memory"] > 50_000_000
    kinds = report["secrets"]
    for what in (
        "de-a: a record",
        "de-a: a pseudonym",
        "de-a: a consent",
        "de-a: the key of a record",
        "de-a: its exact counts",
        "de-b: its share of the network's key",
        "de-c: its share of the result",
        "de-c: its own key",
        "the noisy result",
        "researcher: her key to records",
        "researcher: her sealing key",
    ):
        assert kinds.get(what, 0) > 0, what
    assert kinds["de-a: the key of a record"] == 15  # of eight, then of seven, sealed anew
    found = {(find["where"], find["what"]) for find in report["planted_found"]}
    assert {
        ("database", "de-a: a record"),
        ("log", "de-a: its exact counts"),
        ("vault", "de-a: its share of the network's key"),
    } <= found
