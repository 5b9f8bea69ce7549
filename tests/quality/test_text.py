"""The report in a terminal: narrow, short, the worst first, and nothing hidden."""

from dataclasses import replace

from upcare_mpc.quality.checks import CHECKS
from upcare_mpc.quality.counts import Counts
from upcare_mpc.quality.text import render


def test_a_report_reads_from_top_to_bottom(report):
    text = render(report)

    assert text == GOLDEN


def test_lines_are_at_most_96_columns_whatever_the_numbers(report, group):
    many = group("ENCR incidence", 2019, 123_456_789, with_error=1, with_warning=123_456_788)

    text = render(replace(report, counts=Counts(patients=99_999_999, groups=(many,))))

    assert max(map(len, text.splitlines())) <= 96


def test_what_is_left_out_is_counted(report, group):
    found = {check.name: 3 for check in CHECKS[:20]}
    years = tuple(group("oBDS 3", year, 9, found=found) for year in range(1990, 2020))

    text = render(replace(report, counts=Counts(patients=9, groups=years), schemas=None))

    assert "and 8 more in the page and in the JSON" in text
    assert "15 earlier years are in the page and in the JSON" in text
    assert "    2019" in text
    assert "    2004" not in text


def test_an_empty_snapshot_has_a_report_too(report):
    text = render(replace(report, counts=Counts(patients=0, groups=()), schemas=None))

    assert "0      - %  with at least one error" in text


GOLDEN = """\
Quality of snapshot c0ffeec0ffee, frozen 2026-03-04 05:06
Exact figures, small ones too: they stay in this registry.

       1,234  patients
       1,350  tumours
           6  files
       8,101  messages
         402  of them replaced by a correction
         113  of them rejected

Rejected messages
          96  no tumour <key>
          17  no date of diagnosis

Noticed while reading
          23  death before diagnosis

Implausible tumours
           1    0.1 %  with at least one error
           7    0.5 %  with at least one warning

           1  error    in situ sarcoma
           7  warning  age over 110

Unknown values (of the tumours for which the variable is expected)
         300   22.2 %  laterality
         130    9.6 %  stage

Formats                tumours   error warning   micro     DCO  morph.   stage  status    days
    ENCR incidence         300       0       0    99.7     0.3     100    90.0     100     100
    oBDS 3               1,050     0.1     0.7    99.8     0.2     100    90.5     100     100

Years of diagnosis     tumours   error warning   micro     DCO  morph.   stage  status    days
    2019                 1,300     0.1     0.2    99.8     0.2     100    90.0     100     100
    unknown                 50       0    10.0    98.0     2.0     100     100     100     100
    error, warning, micro (microscopically verified), DCO (death certificate only): percent
    morph(ology), stage, (vital) status, days (of follow-up): percent known

Validation against the supplied schemas
           3   60.0 %  of 5 files valid
         655   93.6 %  of 700 patients in them valid
           1  files without a supplied schema
           2  patients too large to validate
          38  <b>: value too long
           7  Meldung: ends too early
"""
