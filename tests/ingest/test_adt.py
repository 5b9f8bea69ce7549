"""ADT_GEKID 2: several documents a message, little of it mandatory."""

import io

import pytest

from upcare_mpc.ingest import adt

ASSIGNMENT = (
    '<Tumorzuordnung Tumor_ID="1"><Primaertumor_ICD_Code>C50.9</Primaertumor_ICD_Code>'
    "<Diagnosedatum>01.03.2010</Diagnosedatum></Tumorzuordnung>"
)


def file_of(*messages, reason="diagnose"):
    inside = "".join(
        f'<Meldung Meldung_ID="{number}" Melder_ID="m"><Meldeanlass>{reason}</Meldeanlass>{message}'
        "</Meldung>"
        for number, message in enumerate(messages)
    )
    return (
        '<ADT_GEKID Schema_Version="2.2.3"><Menge_Patient><Patient>'
        '<Patienten_Stammdaten Patient_ID="p1"><Patienten_Geschlecht>W</Patienten_Geschlecht>'
        "<Patienten_Geburtsdatum>00.03.1950</Patienten_Geburtsdatum></Patienten_Stammdaten>"
        f"<Menge_Meldung>{inside}</Menge_Meldung></Patient></Menge_Patient></ADT_GEKID>"
    ).encode()


def message_of(inside, **arguments):
    (message,) = adt.messages(io.BytesIO(file_of(inside, **arguments)), "file")
    return message


def test_one_message_may_hold_all_documents(read_bytes):
    file = file_of(
        ASSIGNMENT
        + "<Diagnose><Primaertumor_Topographie_ICD_O>C50.4</Primaertumor_Topographie_ICD_O>"
        "<Menge_Histologie><Histologie><Morphologie_Code>8520/3</Morphologie_Code></Histologie>"
        "<Histologie><Morphologie_Code>8500/3</Morphologie_Code><Grading>2</Grading></Histologie>"
        "</Menge_Histologie><cTNM><TNM_T>2</TNM_T></cTNM></Diagnose>"
        "<Menge_OP><OP><OP_Intention>K</OP_Intention><OP_Datum>11.03.2010</OP_Datum>"
        "<TNM><TNM_T>1c</TNM_T></TNM></OP></Menge_OP>"
        "<Menge_ST><ST/></Menge_ST>"
        "<Menge_SYST><SYST><Menge_Therapieart><SYST_Therapieart>CH</SYST_Therapieart>"
        "<SYST_Therapieart>KM</SYST_Therapieart></Menge_Therapieart></SYST></Menge_SYST>"
        "<Menge_Verlauf><Verlauf><Untersuchungsdatum_Verlauf>31.03.2010"
        "</Untersuchungsdatum_Verlauf></Verlauf></Menge_Verlauf>"
    )

    (case,) = read_bytes(file).cases

    assert (case.topography, case.morphology, case.grade, case.t) == ("C50.4", "8520", "2", "1")
    assert (case.tx_surgery, case.tx_radio) == ("yes", "yes")
    assert (case.tx_chemo, case.tx_transplant, case.tx_hormone) == ("yes", "yes", None)
    assert (case.age, case.vital_status, case.follow_up_days) == (60, "alive", 30)


def test_the_reason_of_the_message_alone_tells_a_death():
    message = message_of(ASSIGNMENT, reason="tod")

    assert (message.died, message.death) == (True, None)


def test_a_death_is_part_of_a_course():
    message = message_of(
        ASSIGNMENT + "<Menge_Verlauf><Verlauf><Tod><Sterbedatum>01.04.2010</Sterbedatum></Tod>"
        "</Verlauf></Menge_Verlauf>"
    )

    assert message.died
    assert message.death is not None


def test_the_tumour_key_may_stand_at_the_diagnosis():
    assert message_of('<Diagnose Tumor_ID="7"/>').tumour_id == "7"


def test_an_empty_element_of_the_diagnosis_does_not_hide_the_assignment():
    message = message_of(ASSIGNMENT + "<Diagnose><Diagnosedatum/></Diagnose>")

    assert message.diagnosed is not None
    assert message.icd10 == "C50.9"


def test_no_stage_is_taken_from_the_extension_that_some_senders_use(read_bytes):
    file = file_of(ASSIGNMENT + "<Diagnose><pTNM><TNM_T>2</TNM_T><UICC>II</UICC></pTNM></Diagnose>")

    (case,) = read_bytes(file).cases

    assert (case.t, case.stage) == ("2", None)


@pytest.mark.parametrize("symbol", ["TNM_y_Symbol", "TNM_r_Symbol"])
def test_tnm_after_treatment_or_at_recurrence_gives_way(read_bytes, symbol):
    file = file_of(
        ASSIGNMENT + f"<Diagnose><cTNM><TNM_T>2</TNM_T></cTNM>"
        f"<pTNM><{symbol}>x</{symbol}><TNM_T>0</TNM_T></pTNM></Diagnose>"
    )

    assert read_bytes(file).cases[0].t == "2"
