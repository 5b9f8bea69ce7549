"""The five demo deliveries are the pooled study; whole files fail, single records are counted."""

import csv
import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.ingest.delivery import Source, read, reference
from upcare_mpc.records.reference import NOTHING
from upcare_mpc.records.variables import VARIABLES

TRUTH = Path(__file__).parents[1] / "data" / "gbsg2_truth.csv"
PARTIES = ("de-a", "de-b", "de-c", "fr-a", "fr-b")


@pytest.mark.parametrize(
    ("party", "messages", "n", "deaths", "hormone", "mean_age"),
    [
        ("de-a", 730, 259, 62, 94, "51.8223938224"),
        ("de-b", 495, 176, 49, 61, "53.9545454545"),
        ("de-c", 168, 62, 13, 20, "52.8064516129"),
        ("fr-a", 126, 126, 30, 47, "53.4523809524"),
        ("fr-b", 63, 63, 17, 24, "55.0317460317"),
    ],
)
def test_each_delivery_has_the_numbers_of_its_centre(
    read_party, party, messages, n, deaths, hormone, mean_age
):
    delivery = read_party(party)

    assert (delivery.tally.messages, delivery.patients, delivery.tumours) == (messages, n, n)
    assert delivery.tally.rejected == {}
    assert sum(case.vital_status == "dead" for case in delivery.cases) == deaths
    assert sum(case.tx_hormone == "yes" for case in delivery.cases) == hormone
    assert sum(case.tx_hormone == "no" for case in delivery.cases) == n - hormone
    mean = Fraction(sum(case.age for case in delivery.cases), n)
    assert abs(mean - Fraction(mean_age)) <= Fraction(1, 10**10)


def test_the_five_deliveries_together_are_the_pooled_study_case_by_case(read_party):
    arabic = {"IIA": "2", "IIB": "2", "IIIA": "3", "IIIC": "3"}
    with TRUTH.open(newline="") as lines:
        truth = {
            f"{row['centre']}-{int(row['id']):04d}": (
                int(row["age"]),
                "yes" if row["hormone"] == "2" else "no",
                row["grade"],
                row["t"],
                row["n"],
                None if row["centre"] == "DE-C" else arabic[row["stage"]],  # no stage in v2
                int(row["diagnosis_year"]),
                int(row["survtime"]),
                "dead" if row["censdead"] == "1" else "alive",
            )
            for row in csv.DictReader(lines)
        }

    found = {
        case.patient_id: (
            case.age,
            case.tx_hormone,
            case.grade,
            case.t,
            case.n,
            case.stage,
            case.diagnosis_year,
            case.follow_up_days,
            case.vital_status,
        )
        for party in PARTIES
        for case in read_party(party).cases
    }

    assert len(truth) == 686
    assert found == truth


def test_what_all_women_of_the_study_share_is_read_in_all_formats(read_party):
    for party in PARTIES:
        for case in read_party(party).cases:
            shared = (case.sex, case.site, case.topography, case.morphology, case.behaviour)
            assert shared == ("female", "C50", "C50.9", "8500", "3")
            assert (case.m, case.basis, case.sequence) == ("0", "7", 1)


def test_the_five_deliveries_have_no_patient_in_common(read_party):
    patients = [{case.patient_id for case in read_party(party).cases} for party in PARTIES]

    assert len(set.union(*patients)) == sum(map(len, patients)) == 686


def test_every_value_is_one_that_a_study_may_ask_for(read_party):
    for party in PARTIES:
        for case in read_party(party).cases:
            for variable in VARIABLES.values():
                value = getattr(case, variable.name)
                assert value is None or variable.type.accepts(value), variable.name


def test_without_declared_completeness_absent_therapy_is_unknown(read_party):
    hormone = [case.tx_hormone for case in read_party("de-a", complete=()).cases]

    assert hormone.count("yes") == 94
    assert hormone.count(None) == 259 - 94


def test_completeness_speaks_only_for_its_own_kind(read_party):
    case = read_party("de-a", complete=("surgery",)).cases[0]

    assert (case.tx_surgery, case.tx_radio, case.tx_chemo) == ("no", None, None)


def test_an_encr_file_states_treatment_itself(read_party):
    assert read_party("fr-a", complete=()).cases == read_party("fr-a").cases


def test_an_unknown_kind_of_completeness_is_refused(read_party):
    with pytest.raises(ConfigError, match="wanted some of radio, surgery, systemic; got chemo"):
        read_party("de-a", complete=("chemo",))


def test_a_delivery_needs_a_file():
    with pytest.raises(DataError, match="at least one file"):
        read([], complete=frozenset())


def test_cases_come_by_patient_and_sequence_whatever_the_order_of_files(read_bytes, party_file):
    one, other = party_file("fr-b"), party_file("de-c")

    forth, back = read_bytes(one, other), read_bytes(other, one)

    assert forth.cases == back.cases
    keys = [(case.patient_id, case.sequence) for case in forth.cases]
    assert keys == sorted(keys)
    assert forth.tally.formats == {"ADT_GEKID 2": 1, "ENCR incidence": 1}


def test_a_later_message_with_the_same_key_replaces_the_earlier_one(read_bytes, obds, assignment):
    first = obds(
        assignment() + "<Diagnose><Histologie><Grading>1</Grading></Histologie></Diagnose>",
        assignment() + "<SYST><Therapieart>HO</Therapieart></SYST>",
    )
    correction = obds(f'<Meldung Meldung_ID="1" Melder_ID="m">{assignment()}</Meldung>')

    delivery = read_bytes(first, correction, complete=("systemic",))

    (case,) = delivery.cases
    assert (case.grade, case.tx_hormone) == ("1", "no")
    assert (delivery.tally.messages, delivery.tally.replaced) == (3, 1)


CORRECTED_DIAGNOSIS = (
    "<Diagnose><Primaertumor_Topographie_ICD_O><Code>C50.2</Code></Primaertumor_Topographie_ICD_O>"
    "<Histologie><Morphologie_ICD_O><Code>8520/3</Code></Morphologie_ICD_O><Grading>3</Grading>"
    "</Histologie></Diagnose>"
)


def in_version_3(number, inside):
    return f'<Meldung Meldung_ID="{number}" Melder_ID="M1">{inside}</Meldung>'


def test_a_corrected_pair_in_a_later_file_gives_one_corrected_case(
    read_bytes, sample, obds, assignment
):
    """Diagnosis A1 and operation A2 come again, with another site, histology, grade and date."""
    first = sample("obds_3.xml")
    tumour = assignment("2021-04-01", icd="C50.2")
    later = obds(
        in_version_3("A1", tumour + CORRECTED_DIAGNOSIS),
        in_version_3("A2", tumour + "<OP><Intention>D</Intention><Datum>2021-04-02</Datum></OP>"),
        patient='Patient_ID="SAMPLE-1"',
    )

    (before,) = read_bytes(first, complete=("surgery",)).cases
    delivery = read_bytes(first, later, complete=("surgery",))

    (case,) = delivery.cases
    assert (before.icd10, before.morphology, before.grade) == ("C50.4", "8500", "2")
    assert (before.tx_surgery, before.diagnosis_month, before.t) == ("yes", 3, "1")
    assert (case.icd10, case.topography, case.morphology, case.grade) == (
        "C50.2", "C50.2", "8520", "3",
    )  # fmt: skip
    assert (case.tx_surgery, case.diagnosis_month) == ("no", 4)
    assert (case.t, case.stage) == (None, None)  # the correction replaces all of the message
    assert (case.vital_status, case.cause) == ("dead", "C50.9")  # the others stay
    assert (delivery.tally.messages, delivery.tally.replaced, delivery.tumours) == (6, 2, 1)


def test_version_2_is_corrected_by_version_3(read_bytes, sample, obds, assignment):
    first = sample("adt_gekid_2.xml")
    later = obds(
        in_version_3("A1", assignment("2021-04-01", icd="C50.2") + CORRECTED_DIAGNOSIS),
        patient='Patient_ID="SAMPLE-1"',
    )

    (before,) = read_bytes(first, complete=("surgery",)).cases
    delivery = read_bytes(first, later, complete=("surgery",))

    (case,) = delivery.cases
    assert (before.icd10, before.tx_surgery) == ("C50.4", "yes")
    assert (case.icd10, case.morphology, case.grade) == ("C50.2", "8520", "3")
    assert case.tx_surgery == "no"  # the operation stood in the replaced message
    assert (case.vital_status, case.recurrence_days) == ("dead", 334)
    assert (delivery.tally.messages, delivery.tally.replaced) == (3, 1)


def test_the_earlier_file_does_not_correct_the_later_one(read_bytes, sample, obds, assignment):
    first = sample("obds_3.xml")
    later = obds(
        in_version_3("A1", assignment("2021-04-01", icd="C50.2") + CORRECTED_DIAGNOSIS),
        patient='Patient_ID="SAMPLE-1"',
    )

    (case,) = read_bytes(later, first).cases

    assert (case.morphology, case.grade) == ("8500", "2")


def test_the_same_number_from_another_reporter_is_another_message(read_bytes, obds, assignment):
    file = obds(
        f'<Meldung Meldung_ID="1" Melder_ID="a">{assignment()}</Meldung>',
        f'<Meldung Meldung_ID="1" Melder_ID="b">{assignment(key="2")}</Meldung>',
    )

    delivery = read_bytes(file)

    assert (delivery.tumours, delivery.tally.replaced) == (2, 0)


def test_messages_without_a_number_replace_nothing(read_bytes, obds, assignment):
    file = obds(
        f'<Meldung Meldung_ID="" Melder_ID="a">{assignment()}</Meldung>',
        f'<Meldung Melder_ID="a">{assignment(key="2")}</Meldung>',
    )

    assert read_bytes(file).tumours == 2


def test_a_second_encr_row_of_a_tumour_replaces_the_first(read_bytes, party_file):
    content = party_file("fr-b")
    row = content.splitlines(keepends=True)[1]

    delivery = read_bytes(content + row.replace(b";C509;", b";C502;"))

    assert (delivery.tumours, delivery.tally.replaced) == (63, 1)
    assert sum(case.topography == "C50.2" for case in delivery.cases) == 1


def test_records_that_cannot_be_used_are_counted_with_a_reason(read_bytes, obds, assignment):
    nameless = obds(assignment(), patient="")
    dateless = obds(assignment(None), assignment("31.12.2010", key="2"), patient='Patient_ID="p2"')

    delivery = read_bytes(nameless, dateless)

    assert delivery.cases == ()
    # p2's first message holds another key than the nameless one, which was never taken in.
    assert delivery.tally.rejected == {"no patient id": 1, "no usable diagnosis date": 2}
    assert delivery.tally.messages == 3


def test_the_small_samples_of_both_message_formats_agree(read_bytes, sample):
    (old,) = read_bytes(sample("adt_gekid_2.xml")).cases
    (new,) = read_bytes(sample("obds_3.xml")).cases

    assert (new.stage, old.stage) == ("1", None)  # version 2 has no stage
    assert replace(new, stage=None) == old
    assert (new.cause, new.death_by_tumour, new.recurrence_days) == ("C50.9", "yes", 365)
    assert (new.tnm_edition, new.diagnosis_precision) == ("8", "day")


def test_nothing_shows_a_patient(read_party):
    delivery = read_party("fr-a")

    assert "FR-A-0005" not in repr(delivery)
    assert "FR-A-0005" not in repr(delivery.cases)


def test_a_file_that_cannot_be_opened_is_named_without_its_path():
    def missing():
        raise FileNotFoundError("/registry/secret/path.xml")

    with pytest.raises(DataError) as caught:
        read([Source("path.xml", missing)], complete=frozenset())

    assert str(caught.value) == "path.xml: the file cannot be opened or read"


def test_one_of_several_tables_that_cannot_be_opened_is_among_the_named(sample_tables):
    def missing():
        raise FileNotFoundError("/registry/secret/op.csv")

    def opened(content):
        return lambda: io.BytesIO(content)

    sources = [Source(f"{name}.csv", opened(text)) for name, text in sample_tables.items()]
    calls = iter([io.BytesIO(sample_tables["op"])])  # once for its format, and then no more
    sources.append(Source("second.csv", lambda: next(calls, None) or missing()))

    with pytest.raises(DataError, match=r" or second\.csv: the file cannot be opened or read$"):
        read(sources, complete=frozenset())


@given(cut=st.integers(min_value=0, max_value=30_000))
def test_a_file_cut_anywhere_is_refused_or_loses_whole_rows_only(cut):
    """Cut XML is always refused; of cut CSV only a whole number of rows can pass."""
    folder = Path(__file__).parents[2] / "parties"
    for party in ("de-c", "fr-b"):
        (path,) = (folder / party / "data").glob("[A-Z]*")
        content = path.read_bytes()[:cut]
        try:
            delivery = read([Source("f", lambda c=content: io.BytesIO(c))], complete=frozenset())
        except DataError:
            continue
        assert party == "fr-b"
        assert delivery.tally.rejected == {}


def reference_of(*texts):
    sources = [
        Source(f"file {number}", lambda text=text: io.BytesIO(text.encode()))
        for number, text in enumerate(texts)
    ]
    return reference(sources)


PEOPLE = "Calendar year;Sex;Age unit;Number of residents\n"
DEATHS = "Calendar year;Sex;Age unit;All causes death probability\n"


def test_population_and_life_table_are_read_beside_the_cases(party_file):
    cases = party_file("fr-b")
    people, deaths = PEOPLE + "2000;2;0-84;5\n2000;2;85+;1.5\n", DEATHS + "2000;1;0+;0.25\n"
    sources = [
        Source("f", lambda content=content: io.BytesIO(content))
        for content in (people.encode(), cases, deaths.encode())
    ]

    found = reference(sources)

    assert [group.count for group in found.residents] == [5.0, 1.5]
    assert found.life_table.yearly == {("male", 2000): (0.25,)}
    assert (
        read(sources, complete=frozenset()).cases == read(sources[1:2], complete=frozenset()).cases
    )
    assert reference(sources[1:2]) == NOTHING


def test_several_population_files_are_one():
    found = reference_of(PEOPLE + "2000;2;85+;1\n", PEOPLE + "2000;2;0-84;5\n")

    assert [group.stratum.first_age for group in found.residents] == [0, 85]
    with pytest.raises(DataError, match="age 80 of female in 2000 twice"):
        reference_of(PEOPLE + "2000;2;80+;1\n", PEOPLE + "2000;2;0-84;5\n")


def test_a_life_table_with_a_gap_is_refused():
    with pytest.raises(DataError, match="life table: it lacks age 1 of male in 2000"):
        reference_of(DEATHS + "2000;1;0;0.1\n2000;1;2+;0.1\n")


def test_a_delivery_of_population_files_alone_is_refused():
    source = Source("people", lambda: io.BytesIO((PEOPLE + "2000;2;0+;1\n").encode()))

    with pytest.raises(DataError, match="people: wanted a file of cases, got ENCR population"):
        read([source], complete=frozenset())


def test_a_mortality_file_is_refused():
    header = "Calendar year;Sex;Age unit;Cause of death;Number of deaths\n"
    source = Source("deaths", lambda: io.BytesIO(header.encode()))

    with pytest.raises(DataError, match="deaths: wanted a file of cases, got ENCR mortality"):
        read([source], complete=frozenset())
