"""Each check finds its own example, and not that example with one value changed."""

import pytest

from upcare_mpc.quality.checks import CHECKS
from upcare_mpc.records.case import Case, well_formed
from upcare_mpc.study.evaluation import compiled
from upcare_mpc.study.expression import fields

# Name of the check -> an implausible tumour, and what makes it plausible.
EXAMPLES = {
    "female organ of a man": ({"sex": "male", "topography": "C56.9"}, {"sex": "female"}),
    "male organ of a woman": ({"sex": "female", "topography": "C61.9"}, {"sex": "other"}),
    "female histology of a man": ({"sex": "male", "morphology": "9000"}, {"morphology": "9061"}),
    "male histology of a woman": ({"sex": "female", "morphology": "9061"}, {"sex": "male"}),
    "age over 110": ({"age": 111}, {"age": 110}),
    "alive beyond 110": ({"age": 100, "follow_up_days": 4015}, {"follow_up_days": 3700}),
    "prostate under 40": (
        {"topography": "C61.9", "morphology": "8140", "age": 39},
        {"age": 40},
    ),
    "breast under 20": ({"topography": "C50.1", "age": 19}, {"age": 20}),
    "uterus under 20": ({"topography": "C53.9", "age": 19}, {"topography": "C56.9"}),
    "digestive organs under 20": ({"topography": "C20.9", "age": 19}, {"age": 20}),
    "lung or colon under 20": (
        {"topography": "C34.1", "morphology": "8140", "age": 19},
        {"morphology": "8240"},
    ),
    "mesothelioma under 15": ({"morphology": "9050", "age": 14}, {"age": 15}),
    "placenta over 45": ({"topography": "C58.9", "morphology": "9100", "age": 46}, {"age": 45}),
    "myeloma under 20": ({"morphology": "9732", "age": 19}, {"age": 20}),
    "chronic lymphocytic leukaemia under 20": ({"morphology": "9823", "age": 19}, {"age": 20}),
    "retinoblastoma over 5": ({"morphology": "9510", "age": 6}, {"age": 5}),
    "nephroblastoma over 9": ({"morphology": "8960", "age": 10}, {"age": 9}),
    "neuroblastoma over 9": ({"morphology": "9500", "age": 10}, {"age": 9}),
    "hepatoblastoma over 5": ({"morphology": "8970", "age": 6}, {"age": 5}),
    "liver carcinoma under 9": ({"morphology": "8170", "age": 8}, {"age": 9}),
    "kidney carcinoma under 9": (
        {"topography": "C64.9", "morphology": "8312", "age": 8},
        {"morphology": "8960"},
    ),
    "thyroid or nasopharynx carcinoma under 6": (
        {"topography": "C73.9", "morphology": "8260", "age": 5},
        {"age": 6},
    ),
    "skin carcinoma under 5": ({"topography": "C44.3", "morphology": "8090", "age": 4}, {"age": 5}),
    "Hodgkin lymphoma under 3": ({"morphology": "9650", "age": 2}, {"age": 3}),
    "bone sarcoma under 6": ({"morphology": "9220", "age": 5}, {"age": 6}),
    "Ewing sarcoma under 4": ({"morphology": "9260", "age": 3}, {"age": 4}),
    "in situ where nothing is in situ": (
        {"behaviour": "2", "topography": "C71.1"},
        {"behaviour": "3"},
    ),
    "in situ sarcoma": ({"behaviour": "2", "morphology": "8890"}, {"morphology": "8140"}),
    "lymphoma or leukaemia not malignant": (
        {"behaviour": "0", "morphology": "9690"},
        {"behaviour": "3"},
    ),
    "carcinoma not malignant": ({"behaviour": "0", "morphology": "8020"}, {"morphology": "8040"}),
    "ICD-10 malignant, behaviour not": ({"icd10": "C50.9", "behaviour": "2"}, {"icd10": "D05.1"}),
    "ICD-10 in situ, behaviour not": ({"icd10": "D05.1", "behaviour": "3"}, {"behaviour": "2"}),
    "ICD-10 benign, behaviour not": ({"icd10": "D32.0", "behaviour": "3"}, {"behaviour": "0"}),
    "ICD-10 uncertain, behaviour not": ({"icd10": "D41.4", "behaviour": "3"}, {"icd10": "D45"}),
    "histology without microscopy": ({"basis": "2", "morphology": "8140"}, {"morphology": "8170"}),
    "microscopy without histology": ({"basis": "7", "morphology": "8000"}, {"morphology": "8010"}),
    "death certificate only, alive": (
        {"basis": "0", "vital_status": "alive"},
        {"vital_status": "dead"},
    ),
    "death certificate only, followed up": (
        {"basis": "0", "follow_up_days": 1},
        {"follow_up_days": 0},
    ),
    "death certificate only, treated": (
        {"basis": "0", "tx_surgery": "no", "tx_hormone": "yes"},
        {"tx_hormone": "no"},
    ),
    "grade of a lymphoma or leukaemia": ({"grade": "2", "morphology": "9690"}, {"grade": None}),
    "grade of a benign tumour": ({"grade": "1", "behaviour": "0"}, {"behaviour": "3"}),
    "undifferentiated of low grade": ({"morphology": "8020", "grade": "1"}, {"grade": "4"}),
    "metastasis below stage 4": (
        {"m": "1", "stage": "2", "topography": "C50.9"},
        {"topography": "C73.9"},
    ),
    "invasive stage 0": ({"stage": "0", "behaviour": "3"}, {"behaviour": "2"}),
    "invasive Tis": ({"t": "is", "behaviour": "3"}, {"t": "1"}),
    "in situ T1 to T4": ({"behaviour": "2", "t": "1"}, {"t": "is"}),
    "in situ with spread": ({"behaviour": "2", "n": "1"}, {"n": "0"}),
    "stage 0 with spread": ({"stage": "0", "m": "1"}, {"m": "0"}),
    "Tis without spread above stage 0": (
        {"t": "is", "n": "0", "m": "0", "stage": "1"},
        {"stage": "0"},
    ),
    "TNM of a lymphoma or leukaemia": ({"t": "2", "morphology": "9690"}, {"morphology": "9700"}),
    "side of an unpaired organ": (
        {"topography": "C61.9", "laterality": "left"},
        {"laterality": "none"},
    ),
    "no side of a paired organ": (
        {"topography": "C50.9", "laterality": "none"},
        {"laterality": "left"},
    ),
    "side of a paired organ unknown": (
        {"topography": "C50.9", "laterality": None},
        {"topography": "C16.9"},
    ),
    "dead without cause": ({"vital_status": "dead"}, {"death_by_tumour": "no"}),
    "alive with a cause of death": (
        {"vital_status": "alive", "cause": "C50.9"},
        {"vital_status": "dead"},
    ),
    "death by tumour, cause not": (
        {"death_by_tumour": "yes", "cause": "I21.9"},
        {"cause": "C50.9"},
    ),
    "alive without follow-up": (
        {"vital_status": "alive", "follow_up_days": 0},
        {"follow_up_days": 1},
    ),
    "recurrence after the end": (
        {"recurrence_days": 401, "follow_up_days": 400},
        {"recurrence_days": 400},
    ),
    "recurrence at diagnosis": ({"recurrence_days": 0}, {"recurrence_days": 1}),
    "carcinoma where there is no epithelium": (
        {"morphology": "8140", "topography": "C71.1"},
        {"morphology": "9440"},
    ),
    "melanoma outside skin, eye and mucosa": (
        {"morphology": "8720", "topography": "C64.9"},
        {"topography": "C69.3"},
    ),
    "glioma outside the nervous system": (
        {"morphology": "9440", "topography": "C50.9"},
        {"topography": "C71.1"},
    ),
    "retinoblastoma outside the eye": (
        {"morphology": "9510", "topography": "C71.1"},
        {"topography": "C69.2"},
    ),
    "nephroblastoma outside the kidney": (
        {"morphology": "8960", "topography": "C50.9"},
        {"topography": "C64.9"},
    ),
    "renal cell carcinoma outside the kidney": (
        {"morphology": "8312", "topography": "C50.9"},
        {"topography": "C64.9"},
    ),
    "liver cell carcinoma outside the liver": (
        {"morphology": "8170", "topography": "C50.9"},
        {"topography": "C22.0"},
    ),
    "mesothelioma outside serous membranes": (
        {"morphology": "9050", "topography": "C50.9"},
        {"topography": "C38.4"},
    ),
    "osteosarcoma outside bone": (
        {"morphology": "9180", "topography": "C71.1"},
        {"topography": "C40.2"},
    ),
    "seminoma elsewhere": ({"morphology": "9061", "topography": "C50.9"}, {"topography": "C62.9"}),
    "leukaemia or myeloma outside marrow and blood": (
        {"morphology": "9732", "topography": "C50.9"},
        {"topography": "C42.1"},
    ),
    "ICD-10 lymphoma or leukaemia, morphology not": (
        {"icd10": "C83.3", "morphology": "8140"},
        {"morphology": "9680"},
    ),
    "morphology lymphoma or leukaemia, ICD-10 not": (
        {"morphology": "9680", "icd10": "C50.9"},
        {"icd10": "C83.3"},
    ),
    "ICD-10 melanoma, morphology not": (
        {"icd10": "C43.5", "morphology": "8070"},
        {"morphology": "8743"},
    ),
    "ICD-10 mesothelioma, morphology not": (
        {"icd10": "C45.0", "morphology": "8140"},
        {"morphology": "9052"},
    ),
    "ICD-10 and topography of different organs": (
        {"icd10": "C50.9", "topography": "C34.1"},
        {"topography": "C50.1"},
    ),
    "more than five tumours": ({"sequence": 6}, {"sequence": 5}),
}


def tumour(**values):
    case = Case(**{"patient_id": "p", "tumour_id": "t", "sequence": 1, **values})
    assert well_formed(case)
    return case


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_finds_its_example_and_not_a_plausible_one(check):
    implausible, change = EXAMPLES[check.name]
    finds = compiled(check.expression)

    assert finds(tumour(**implausible)) is True
    assert finds(tumour(**{**implausible, **change})) is not True


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_tumour_of_which_nothing_is_known_is_implausible_to_no_check(check):
    assert compiled(check.expression)(tumour()) is not True


def test_every_check_has_an_example_and_a_name_of_its_own():
    assert list(EXAMPLES) == [check.name for check in CHECKS]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_says_in_one_line_what_it_means(check):
    assert check.meaning.endswith(".")
    assert len(check.name) <= 60
    assert len(check.meaning) <= 100
    assert fields(check.expression)


@pytest.mark.parametrize(
    ("icd10", "topography", "differ"),
    [
        ("C50.4", "C50.4", False),
        ("C50", "C50.9", False),
        ("C43.5", "C44.5", False),
        ("C83.3", "C77.2", None),
        ("C80.9", "C80.9", None),
        ("D05.1", "C50.9", False),
        ("D05.1", "C53.9", True),
        ("C18.7", "C20.9", False),  # one group: reports count them together
        ("C18.7", "C16.9", True),
        ("C64", "C67.9", True),
    ],
)
def test_organs_are_compared_in_groups(icd10, topography, differ):
    (check,) = (check for check in CHECKS if check.name.endswith("of different organs"))

    found = compiled(check.expression)(tumour(icd10=icd10, topography=topography))

    assert bool(found) is bool(differ)
