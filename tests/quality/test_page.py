"""The report as a page: one file, escaped, readable without colours, script or network."""

import re
from dataclasses import replace

import pytest
from lxml import html

from upcare_mpc.quality.counts import MEASURED, Counts
from upcare_mpc.quality.page import render


@pytest.fixture
def page(report):
    return html.fromstring(render(report))


def words(element):
    return " ".join(" ".join(element.itertext()).split())


def test_the_page_says_on_top_that_it_stays_in_the_registry(page):
    first = page.xpath("//main/p")[0]

    assert "stays in the registry" in words(first)
    assert "exact" in words(first)


def test_the_page_needs_nothing_besides_itself(report):
    text = render(report)

    assert not re.search(r"<(script|link|img|iframe|object|embed|base|form)\b", text)
    assert not re.search(r"\b(src|href|action)\s*=|url\(|@import|https?:|\son\w+=", text)


def test_text_from_outside_is_escaped(report, page):
    text = render(report)

    assert "<b>" not in text
    assert "no tumour <key>" not in text
    assert page.xpath("//code[. = '<b>']")
    assert page.xpath("//th[. = 'no tumour <key>']")


def test_every_table_has_a_caption_and_heads_with_a_scope(page):
    assert page.get("lang") == "en"
    assert page.xpath("//meta[@name='viewport']")
    tables = page.xpath("//table")
    assert len(tables) >= 8
    for table in tables:
        assert len(table.xpath("./caption")) == 1
        assert all(head.get("scope") in {"col", "row"} for head in table.xpath(".//th"))
        widths = {len(row.xpath("./th | ./td")) for row in table.xpath(".//tr")}
        assert len(widths) == 1, words(table.find("caption"))
    for region in page.xpath("//*[@class='wide']"):
        assert (region.get("role"), region.get("tabindex")) == ("region", "0")
        assert region.get("aria-label")


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("ink", ["#1b1b1b", "#8a1c1c", "#444444", "#0b5cad"])
@pytest.mark.parametrize("paper", ["#ffffff", "#fbeeee", "#f2f2f2"])
def test_contrast_is_enough_to_read(ink, paper):
    assert (luminance(paper) + 0.05) / (luminance(ink) + 0.05) >= 4.5


def test_only_colours_whose_contrast_was_tested_are_used(report):
    text = render(report)
    used = set(re.findall(r"#[0-9a-f]{3,6}\b", text))

    assert used == {"#1b1b1b", "#8a1c1c", "#444", "#0b5cad", "#fff", "#fbeeee", "#f2f2f2", "#ccc"}


def test_every_number_of_the_report_is_on_the_page(report, page):
    rows = {words(row).partition(" ")[0]: words(row) for row in page.xpath("//tr")}

    assert rows["laterality"].startswith("laterality 1,350 300 22.2 100 0 ")
    assert rows["2019"].startswith("2019 1,300 0.1 0.2 99.8 0.2 ")
    assert rows["unknown"].startswith("unknown 50 0 10.0 ")
    assert {each for each in rows if each in MEASURED} == set(MEASURED)
    (finding,) = page.xpath("//tr[th = 'age over 110']")
    assert words(finding).startswith("age over 110 warning 7 0 7 ")
    assert words(page.xpath("//tr[th = 'no tumour <key>']")[0]).endswith(" 96")


def test_bars_are_as_long_as_what_they_show(page):
    (year,) = page.xpath("//tr[th = '2019']")
    (other,) = page.xpath("//table[@class='bars']//tr[th = 'unknown']")

    assert year.xpath(".//span/@style")[0] == "width: 100.0%"
    assert other.xpath(".//span/@style")[0] == "width: 3.8%"  # 50 of 1,300
    assert "width: 90.0%" in year.xpath(".//span/@style")  # stage is known of 1,170


def test_an_empty_snapshot_has_a_page_too(report):
    text = render(replace(report, counts=Counts(patients=0, groups=()), schemas=None))

    assert "Schemas" not in text
