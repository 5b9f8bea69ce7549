"""`upcare bench ingest` freezes for real, and says so in one object."""

import json


def test_the_bench_freezes_both_formats_and_counts(upcare):
    ran = upcare("bench", "ingest", "--patients=40", "--rows=60", "--runs=1", "--json")

    assert ran.status == 0
    report = json.loads(ran.out)
    assert set(report) == {"obds", "encr", "count"}
    assert (report["obds"]["patients"], report["encr"]["n"]) == (40, 60)
    for part in report.values():
        assert part["seconds"]["runs"] == 1
        assert part["seconds"]["min"] > 0
        assert part["rss_mb"] > 10
    assert report["count"]["cells"] == 25_200
    assert 0 < report["count"]["counted"] <= 60
