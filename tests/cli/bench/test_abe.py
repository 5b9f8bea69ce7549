"""`upcare bench abe` makes keys and opens headers for real, and says so in one object."""

import json
import re

PARTS = {
    "ceremony of 5": 5,
    "fragment": 20,
    "read a fragment": 20,
    "verify a fragment": 20,
    "combine 3": 20,
    "tables": 4,
    "encapsulate": 4,
    "decapsulate": 4,
    "encapsulate with tables": 4,
    "decapsulate with tables": 4,
}


def test_the_bench_issues_a_key_that_opens_what_it_sealed(upcare):
    ran = upcare("bench", "abe", "--backend=arkworks", "--attributes=4", "--runs=1", "--json")

    assert ran.status == 0
    (figures,) = json.loads(ran.out).values()
    assert {part: figures[part]["n"] for part in PARTS} == PARTS
    assert figures.keys() == PARTS.keys() | {"ceremony of 3", "ceremony of 7", "rss_mb"}
    for part in PARTS:
        assert figures[part]["seconds"]["runs"] == 1
        assert figures[part]["seconds"]["min"] > 0
    policy = "and(epoch:2026-11,project:bench,site:de-a,use:u00)"
    assert figures["encapsulate"]["bytes"] == 134 + len(policy) + 96 + 4 * 48
    assert figures["combine 3"]["bytes"] > 20 * 48
    assert figures["ceremony of 5"]["rounds"] == 3
    assert figures["rss_mb"] > 10


def test_without_json_there_is_a_line_for_each_part(upcare):
    ran = upcare("bench", "abe", "--backend=arkworks", "--attributes=1", "--runs=1")

    assert ran.status == 0
    lines = ran.out.splitlines()
    assert len(lines) == len(PARTS) + 3
    assert re.fullmatch(r"arkworks: fragment, n = 20, [0-9]+\.[0-9]{2} ms, 1335 bytes", lines[3])


def test_a_policy_has_at_most_64_attributes(upcare):
    ran = upcare("bench", "abe", "--attributes=65")

    assert ran.status == 2
    assert "65 is not in the range 1<=x<=64" in ran.err
