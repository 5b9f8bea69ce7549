"""oBDS-RKI as XML: one message a tumour, with the intervals that the delivery counts itself."""

import pytest

PATIENT = (
    "<OBDS_RKI><Menge_Patient><Patient Patient_ID='p'><Patienten_Stammdaten>"
    "<Geburtsdatum Datumsgenauigkeit='T'>1950-06-15</Geburtsdatum>"
    "<Vitalstatus>{status}</Vitalstatus></Patienten_Stammdaten><Menge_Tumor>"
    "<Tumor Tumor_ID='t'><Primaerdiagnose>"
    "<Diagnosedatum Datumsgenauigkeit='{flag}'>2010-03-15</Diagnosedatum>{diagnosis}"
    "</Primaerdiagnose>{therapies}</Tumor></Menge_Tumor></Patient></Menge_Patient></OBDS_RKI>"
)

STATUS_DATE = "<Datum_Vitalstatus Datumsgenauigkeit='{}'>2011-03-15</Datum_Vitalstatus>"


@pytest.fixture
def case_of(read_bytes):
    def read_one(*, status="", flag="T", diagnosis="", therapies="", complete=()):
        content = PATIENT.format(status=status, flag=flag, diagnosis=diagnosis, therapies=therapies)
        (case,) = read_bytes(content.encode(), complete=complete).cases
        return case

    return read_one


def test_a_sample_becomes_cases(read_bytes, sample):
    delivery = read_bytes(sample("obds_rki.xml"))

    first, second, third = delivery.cases
    assert (delivery.tally.messages, delivery.patients, delivery.tumours) == (3, 2, 3)
    assert delivery.tally.rejected == {}
    assert (first.tumour_id, first.sequence, first.sex, first.age) == ("T1", 1, "female", 70)
    assert (first.diagnosis_year, first.diagnosis_month) == (2021, 3)
    assert first.diagnosis_precision == "month"
    assert (first.icd10, first.topography, first.morphology) == ("C50.4", "C50.4", "8500")
    assert (first.behaviour, first.grade, first.basis, first.laterality) == ("3", "2", "7", "left")
    assert (first.t, first.n, first.m, first.stage, first.tnm_edition) == ("1", "0", "0", "1", "8")
    assert (first.tx_surgery, first.tx_chemo, first.tx_immuno) == ("yes", "yes", "yes")
    assert first.tx_radio is None  # begun on day 366
    assert (first.vital_status, first.follow_up_days, first.cause) == ("dead", 731, "C50.9")
    assert (first.region, first.recurrence_days) == ("DED52", 365)
    assert (second.basis, second.follow_up_days, second.region) == ("0", 0, "DED")
    assert (second.diagnosis_month, second.diagnosis_precision) == (None, "year")
    assert (third.sex, third.vital_status, third.follow_up_days) == ("other", "alive", 152)
    assert (third.cause, third.region) == (None, None)


def test_the_root_and_namespace_of_the_published_sample_will_do(read_bytes, sample):
    plain = sample("obds_rki.xml")
    odd = plain.replace(b' xmlns="http://www.basisdatensatz.de/oBDS/XML"', b"").replace(
        b"oBDS_RKI ", b"OBDS_RKI "
    )
    odd = odd.replace(b"</oBDS_RKI>", b"</OBDS_RKI>")

    assert read_bytes(odd).cases == read_bytes(plain).cases


@pytest.mark.parametrize(("counted", "expected"), [("365", "yes"), ("366", "no"), ("-3", "yes")])
def test_the_interval_counts_not_the_coarse_date(case_of, counted, expected):
    """The date alone, the 15th of an estimated month, would say 396 days and 'no'; a negative
    interval is no interval, and an unknown month of the begin is unknown when."""
    flag = "M" if counted == "-3" else "T"
    operation = (
        f"<Menge_OP><OP><Datum_OP Datumsgenauigkeit='{flag}'>2011-04-15</Datum_OP>"
        f"<Anzahl_Tage_Diagnose_OP>{counted}</Anzahl_Tage_Diagnose_OP></OP></Menge_OP>"
    )

    assert case_of(therapies=operation, complete=("surgery",)).tx_surgery == expected


def test_without_an_interval_the_date_counts(case_of):
    operation = (
        "<Menge_OP><OP><Datum_OP Datumsgenauigkeit='T'>2011-04-15</Datum_OP></OP></Menge_OP>"
    )

    assert case_of(therapies=operation, complete=("surgery",)).tx_surgery == "no"


def test_every_container_of_a_kind_is_read(case_of):
    """The published sample has several ``Menge_SYST`` in one tumour, each with one therapy."""
    therapies = "".join(
        f"<Menge_SYST><SYST><Therapieart>{code}</Therapieart></SYST></Menge_SYST>"
        for code in ("HO", "SZ")
    )

    case = case_of(therapies=therapies)

    assert (case.tx_hormone, case.tx_transplant) == ("yes", "yes")


@pytest.mark.parametrize(
    ("status", "vital_status", "days"),
    [
        ("<Verstorben>J</Verstorben>", "dead", None),
        ("<Verstorben>N</Verstorben>", "alive", None),
        ("", None, None),
        (
            "<Verstorben>N</Verstorben>" + STATUS_DATE.format("T"),
            "alive",
            365,
        ),
        (
            "<Verstorben>J</Verstorben>" + STATUS_DATE.format("V"),
            "dead",
            None,
        ),
    ],
)
def test_vital_status_is_stated_or_unknown(case_of, status, vital_status, days):
    case = case_of(status=status)

    assert (case.vital_status, case.follow_up_days) == (vital_status, days)


def test_only_the_underlying_cause_of_death_counts(case_of):
    cause = "<{0}><Code>{1}</Code></{0}>"
    other = cause.format("Todesursache_ICD", "I21.9")
    underlying = cause.format("Grundleiden", "C34.1")
    status = "<Verstorben>{}</Verstorben><Todesursachen>{}</Todesursachen>"

    assert case_of(status=status.format("J", other + underlying)).cause == "C34.1"
    assert case_of(status=status.format("J", other)).cause is None
    assert case_of(status=status.format("N", underlying)).cause is None


def test_days_to_death_are_not_follow_up_of_the_living(case_of):
    case = case_of(
        status="<Verstorben>N</Verstorben>",
        diagnosis="<Anzahl_Tage_Diagnose_Tod>9</Anzahl_Tage_Diagnose_Tod>",
    )

    assert case.follow_up_days is None


def test_the_age_stays_known_where_the_date_is_wholly_estimated(case_of):
    case = case_of(flag="V")

    assert (case.age, case.diagnosis_year, case.diagnosis_precision) == (59, None, "estimated")


def test_a_later_delivery_of_a_tumour_replaces_the_earlier_one(read_bytes, sample):
    first = sample("obds_rki.xml")
    later = first.replace(b"<Code>C50.4</Code>", b"<Code>C50.2</Code>")

    delivery = read_bytes(first, later)

    assert (delivery.tumours, delivery.tally.replaced) == (3, 3)
    assert delivery.cases[0].icd10 == "C50.2"


def test_a_tumour_without_its_diagnosis_is_counted(read_bytes):
    file = (
        b"<oBDS_RKI><Patient Patient_ID='p'><Menge_Tumor><Tumor Tumor_ID='t'/></Menge_Tumor>"
        b"</Patient></oBDS_RKI>"
    )

    assert read_bytes(file).tally.rejected == {"no usable diagnosis date": 1}
