"""Several messages of one tumour become one case, rule by rule (`ingest.reduce`)."""

import pytest

HORMONE = "<SYST><Therapieart>HO</Therapieart><Beginn>{}</Beginn></SYST>"


def the_case(delivery):
    (case,) = delivery.cases
    return case


# Rule 1: which tumour


def test_messages_with_one_tumour_key_are_one_case(read_bytes, obds, assignment):
    file = obds(assignment(), assignment() + HORMONE.format("2010-04-01"))

    assert the_case(read_bytes(file)).tx_hormone == "yes"


def test_two_tumours_are_numbered_by_diagnosis_not_by_key(read_bytes, obds, assignment):
    file = obds(assignment("2012-01-01", key="1"), assignment("2011-01-01", key="2", icd="C18.7"))

    cases = read_bytes(file).cases

    assert [(case.site, case.sequence) for case in cases] == [("C18", 1), ("C50", 2)]


def test_a_message_without_key_joins_the_tumour_of_its_date_and_site(read_bytes, obds, assignment):
    file = obds(
        assignment("2012-01-01", key="1"),
        assignment("2011-01-01", key="2", icd="C18.7"),
        assignment("2011-01-01", key=None, icd="C18.2") + HORMONE.format("2011-02-01"),
    )

    cases = read_bytes(file).cases

    assert [(case.tumour_id, case.tx_hormone) for case in cases] == [("2", "yes"), ("1", None)]


def test_messages_without_key_but_with_a_date_form_a_tumour_of_their_own(
    read_bytes, obds, assignment
):
    file = obds(
        assignment("2012-01-01", key="1"),
        assignment("2011-01-01", key=None, icd="C18.7"),
        assignment("2011-01-01", key=None, icd="C18.2"),
    )

    assert [case.site for case in read_bytes(file).cases] == ["C18", "C50"]


def test_a_message_with_neither_key_nor_date_joins_the_only_tumour(read_bytes, obds, assignment):
    file = obds(assignment("2010-03-01", key=None), HORMONE.format("2010-04-01"))

    assert the_case(read_bytes(file)).tx_hormone == "yes"


def test_a_message_that_fits_several_tumours_is_rejected(read_bytes, obds, assignment):
    file = obds(
        assignment(key="1"), assignment("2012-01-01", key="2"), HORMONE.format("2010-04-01")
    )

    delivery = read_bytes(file)

    assert delivery.tally.rejected == {"no tumour key": 1}
    assert [case.tx_hormone for case in delivery.cases] == [None, None]


# Rule 2: what is said twice


def test_the_diagnosis_is_believed_before_a_later_operation(read_bytes, obds, assignment):
    histology = "<Histologie><Grading>{}</Grading></Histologie>"
    file = obds(
        assignment() + f"<Diagnose>{histology.format(2)}</Diagnose>",
        assignment() + f"<OP>{histology.format(3)}</OP>",
    )

    assert the_case(read_bytes(file)).grade == "2"


def test_of_two_diagnoses_the_later_counts_and_unknown_says_nothing(read_bytes, obds, assignment):
    document = "<Diagnose><Diagnosesicherung>{}</Diagnosesicherung></Diagnose>"
    file = obds(*(assignment() + document.format(basis) for basis in ("1", "7.1", "9")))

    assert the_case(read_bytes(file)).basis == "7"


def test_a_message_with_a_diagnosis_dates_the_tumour(read_bytes, obds, assignment):
    file = obds(assignment("2010-03-01") + "<Diagnose/>", assignment("2011-03-01"))

    assert the_case(read_bytes(file)).diagnosis_year == 2010


def test_morphology_and_behaviour_come_from_one_code(read_bytes, obds, assignment):
    histology = "<Histologie><Morphologie_ICD_O><Code>{}</Code></Morphologie_ICD_O></Histologie>"
    file = obds(
        assignment(icd="D05.1") + f"<Diagnose>{histology.format('8500/2')}</Diagnose>",
        assignment(icd="D05.1") + f"<OP>{histology.format('8520/3')}</OP>",
    )

    case = the_case(read_bytes(file))

    assert (case.morphology, case.behaviour) == ("8500", "2")


def test_the_morphology_of_the_assignment_is_believed_last(read_bytes, obds, assignment):
    coded = "<Morphologie_ICD_O><Code>{}</Code></Morphologie_ICD_O>"
    assigned = assignment().replace("</Tumor", coded.format("8000/3") + "</Tumor")
    pathology = f"<Pathologie><Histologie>{coded.format('8500/3')}</Histologie></Pathologie>"

    alone, both = obds(assigned), obds(assignment() + pathology, assigned)

    assert the_case(read_bytes(alone)).morphology == "8000"
    assert the_case(read_bytes(both)).morphology == "8500"


def test_a_course_does_not_describe_the_tumour_at_diagnosis(read_bytes, obds, assignment):
    file = obds(
        assignment() + "<Verlauf><Histologie><Grading>3</Grading></Histologie>"
        "<TNM><T>4</T></TNM></Verlauf>"
    )

    case = the_case(read_bytes(file))

    assert (case.grade, case.t) == (None, None)


# Rule 3: TNM and stage


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ("<cTNM><T>3</T></cTNM><pTNM><T>2</T></pTNM>", "2"),
        ("<cTNM><T>3</T></cTNM><pTNM><T>X</T></pTNM>", "3"),
        ("<cTNM><T>3</T></cTNM><pTNM><y_Symbol>y</y_Symbol><T>0</T></pTNM>", "3"),
        ("<pTNM><y_Symbol>y</y_Symbol><T>0</T></pTNM>", "0"),
        ("<pTNM><r_Symbol>r</r_Symbol><T>1</T></pTNM>", None),
        (
            "<cTNM><T>3</T></cTNM><pTNM><c_p_u_Praefix_T>p</c_p_u_Praefix_T><T>1mi</T></pTNM>",
            "1",
        ),
        ("<pTNM><T>is(DCIS)</T></pTNM>", "is"),
    ],
)
def test_pathological_before_clinical_before_after_treatment(
    read_bytes, obds, assignment, elements, expected
):
    file = obds(assignment() + f"<Diagnose>{elements}</Diagnose>")

    assert the_case(read_bytes(file)).t == expected


def test_each_category_stands_on_its_own_prefix(read_bytes, obds, assignment):
    file = obds(
        assignment() + "<Diagnose><pTNM><T>2</T><c_p_u_Praefix_M>c</c_p_u_Praefix_M><M>0</M></pTNM>"
        "</Diagnose>",
        assignment() + "<OP><TNM><c_p_u_Praefix_M>p</c_p_u_Praefix_M><M>1b</M></TNM></OP>",
    )

    case = the_case(read_bytes(file))

    assert (case.t, case.m) == ("2", "1")


def test_the_stage_is_collapsed(read_bytes, obds, assignment):
    file = obds(
        assignment() + "<Diagnose><cTNM><UICC_Stadium>IIIC1</UICC_Stadium></cTNM></Diagnose>"
    )

    assert the_case(read_bytes(file)).stage == "3"


# Rules 4 and 5


def test_topography_and_behaviour_follow_from_icd10_if_not_stated(read_bytes, obds, assignment):
    case = the_case(read_bytes(obds(assignment(icd="C61"))))

    assert (case.icd10, case.topography, case.behaviour) == ("C61", "C61.9", "3")


def test_a_stated_topography_is_kept(read_bytes, obds, assignment):
    file = obds(
        assignment(icd="C50.9") + "<Diagnose><Primaertumor_Topographie_ICD_O><Code>C50.4</Code>"
        "</Primaertumor_Topographie_ICD_O></Diagnose>"
    )

    assert the_case(read_bytes(file)).topography == "C50.4"


def test_a_year_that_is_only_estimated_is_not_kept_but_the_tumour_is(read_bytes, obds, assignment):
    case = the_case(read_bytes(obds(assignment("2010-07-01", flag="V"))))

    assert (case.diagnosis_year, case.diagnosis_month, case.age) == (None, None, None)


# Rule 6: therapy


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        ("2011-03-01", "yes"),  # day 365
        ("2011-03-02", "no"),  # day 366
        ("2010-02-01", "yes"),  # the operation that found the tumour may precede its diagnosis
        ("", "yes"),
        ("31.12.2010", "yes"),  # not a date: unknown when
    ],
)
def test_therapy_counts_within_a_year_or_if_unknown_when(
    read_bytes, obds, assignment, begun, expected
):
    file = obds(assignment("2010-03-01") + HORMONE.format(begun))

    assert the_case(read_bytes(file, complete=("systemic",))).tx_hormone == expected


def test_late_therapy_is_unknown_not_no_where_records_are_incomplete(read_bytes, obds, assignment):
    file = obds(assignment("2010-03-01") + HORMONE.format("2012-01-01"))

    assert the_case(read_bytes(file)).tx_hormone is None


# Rule 7: the patient


def test_death_reported_with_one_tumour_holds_for_the_other(read_bytes, obds, assignment):
    file = obds(
        assignment("2010-03-01", key="1"),
        assignment("2010-03-11", key="2") + "<Tod><Sterbedatum>2010-03-31</Sterbedatum></Tod>",
    )

    cases = read_bytes(file).cases

    assert [(case.vital_status, case.follow_up_days) for case in cases] == [
        ("dead", 30),
        ("dead", 20),
    ]


def test_a_death_without_date_leaves_follow_up_unknown(read_bytes, obds, assignment):
    file = obds(
        assignment() + "<Tod/>",
        assignment() + "<Verlauf><Untersuchungsdatum_Verlauf>2010-05-01"
        "</Untersuchungsdatum_Verlauf></Verlauf>",
    )

    case = the_case(read_bytes(file))

    assert (case.vital_status, case.follow_up_days) == ("dead", None)


def test_the_latest_contact_ends_the_follow_up_of_the_living(read_bytes, obds, assignment):
    file = obds(
        assignment("2010-03-01") + "<Verlauf><Untersuchungsdatum_Verlauf>2010-03-21"
        "</Untersuchungsdatum_Verlauf></Verlauf>",
        assignment("2010-03-01") + "<OP><Datum>2010-03-11</Datum></OP>",
        assignment("2010-03-01") + "<Tumorkonferenz><Datum>2010-12-01</Datum></Tumorkonferenz>",
    )

    case = the_case(read_bytes(file))

    assert (case.vital_status, case.follow_up_days) == ("alive", 20)


def test_the_later_statement_of_birth_counts(read_bytes, obds, assignment):
    first = obds(assignment("2010-03-01"), birth="1950-03-02")
    later = obds(
        f'<Meldung Meldung_ID="new" Melder_ID="m">{assignment("2010-03-01")}</Meldung>',
        birth="1950-03-01",
    )

    assert the_case(read_bytes(first)).age == 59
    assert the_case(read_bytes(first, later)).age == 60


def test_the_cause_of_death_is_the_patients_and_the_judgement_the_tumours(
    read_bytes, obds, assignment
):
    death = (
        "<Tod><Tod_tumorbedingt>J</Tod_tumorbedingt><Menge_Todesursachen><Todesursache_ICD>"
        "<Code>C18.7</Code></Todesursache_ICD></Menge_Todesursachen></Tod>"
    )
    file = obds(
        assignment("2010-03-01", key="1"), assignment("2010-03-11", key="2", icd="C18.7") + death
    )

    cases = read_bytes(file).cases

    assert [(case.cause, case.death_by_tumour) for case in cases] == [
        ("C18.7", None),
        ("C18.7", "yes"),
    ]


# Rule 9: recurrence


@pytest.mark.parametrize(
    ("days", "expected"),
    [(["2011-03-01", "2010-06-09"], 100), (["2010-02-01"], None), ([""], None), ([], None)],
)
def test_the_earliest_dated_recurrence_after_diagnosis_counts(
    read_bytes, obds, assignment, days, expected
):
    course = (
        "<Verlauf><Untersuchungsdatum_Verlauf>{}</Untersuchungsdatum_Verlauf>"
        "<Gesamtbeurteilung_Tumorstatus>Y</Gesamtbeurteilung_Tumorstatus></Verlauf>"
    )
    file = obds(assignment(), *(assignment() + course.format(day) for day in days))

    assert the_case(read_bytes(file)).recurrence_days == expected


def test_progression_is_no_recurrence(read_bytes, obds, assignment):
    course = (
        "<Verlauf><Untersuchungsdatum_Verlauf>2011-03-01</Untersuchungsdatum_Verlauf>"
        "<Gesamtbeurteilung_Tumorstatus>P</Gesamtbeurteilung_Tumorstatus></Verlauf>"
    )

    assert the_case(read_bytes(obds(assignment() + course))).recurrence_days is None


# The edition of TNM goes with the categories


def test_the_edition_is_that_of_the_classification_that_counts(read_bytes, obds, assignment):
    file = obds(
        assignment() + "<Diagnose><cTNM><Version>7</Version><T>3</T></cTNM>"
        "<pTNM><Version>8</Version><T>2</T></pTNM></Diagnose>"
    )
    empty = obds(
        assignment() + "<Diagnose><cTNM><Version>7</Version><T>3</T></cTNM>"
        "<pTNM><Version>8</Version><T>X</T></pTNM></Diagnose>"
    )

    assert the_case(read_bytes(file)).tnm_edition == "8"
    assert the_case(read_bytes(empty)).tnm_edition == "7"
