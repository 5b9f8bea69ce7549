"""`upcare bench api` asks a whole network over HTTPS, and says what each request took."""

import json

import pytest


@pytest.mark.slow
def test_the_bench_asks_a_study_to_its_end_over_the_interface(upcare):
    ran = upcare("bench", "api", "--cells=20", "--runs=1", "--json")

    assert ran.status == 0, ran.err
    figures = json.loads(ran.out)
    assert (figures["cells"], figures["registries"]) == (20, 5)
    for name in ("list", "quote", "submit", "result", "study"):
        assert figures[f"{name}_seconds"]["runs"] == 1
        assert figures[f"{name}_seconds"]["min"] > 0
    assert figures["study_seconds"]["min"] > figures["submit_seconds"]["min"]
    assert figures["requests_per_second"]["list"] > 0
    assert figures["requests_per_second"]["requests"] == 80
