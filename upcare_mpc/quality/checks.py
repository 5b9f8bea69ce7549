"""Plausibility checks: combinations of values that cannot be true of a tumour, or hardly.

A check is a condition of the study language. It holds a tumour against itself, and counts it if the
condition is TRUE; an unknown value makes it unknown, so what is missing is not implausible.

Sources, in our own words and in outline: `ENCR` is the JRC-ENCR quality checks for European cancer
registries (Martos et al. 2018), `IARC` the check programs of IARC Technical Report 42 (Ferlay et
al. 2005), `TNM` the rules of the UICC classification, `model` what follows from
`records.variables`. They were written without the reports at hand: bounds of age and lists of codes
are the usual ones, and coarser than the originals. A registry that reports to ENCR still runs the
official software.

An `error` contradicts itself. A `warning` is possible and rare: worth a look at the record.
"""

from dataclasses import dataclass
from typing import Final, Literal

from upcare_mpc.quality.counts import PAIRED
from upcare_mpc.quality.figures import Figure

__all__ = ["CHECKS", "Check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Figure):
    """A combination of values that should not be there."""

    severity: Literal["error", "warning"]


def _error(name: str, source: str, condition: str, meaning: str) -> Check:
    return Check(name=name, source=source, condition=condition, meaning=meaning, severity="error")


def _warning(name: str, source: str, condition: str, meaning: str) -> Check:
    return Check(name=name, source=source, condition=condition, meaning=meaning, severity="warning")


_CARCINOMA = "morphology between '8010' and '8589'"
_SARCOMA = "morphology between '8800' and '8921'"
_MELANOMA = "morphology between '8720' and '8790'"
_BLOOD = "morphology between '9590' and '9992'"
_TREATED = " or ".join(
    f"tx_{kind} = yes"
    for kind in ("surgery", "radio", "chemo", "targeted", "immuno", "hormone", "transplant")
)
_UNPAIRED = (
    "site in ('C15', 'C16', 'C17', 'C19', 'C20', 'C21', 'C25', 'C32', 'C53', 'C54', 'C55', 'C61', "
    "'C67')"
)
_WITHOUT_HISTOLOGY = (
    "morphology in ('8000', '8170', '8720', '8800', '8960', '9100', '9140', '9350', '9500', "
    "'9510', '9590', '9732', '9761', '9800') or morphology between '8150' and '8154' or "
    "morphology between '8270' and '8281' or morphology between '9380' and '9384' or "
    "morphology between '9530' and '9539'"
)

# The organ that an ICD-10 code names -> where ICD-O has it.
_SAME_ORGAN: Final = {
    ("C00", "C14"): ("C00", "C14"),
    ("C15", "C15"): ("C15", "C15"),
    ("C16", "C16"): ("C16", "C16"),
    ("C17", "C17"): ("C17", "C17"),
    ("C18", "C21"): ("C18", "C21"),
    ("C22", "C24"): ("C22", "C24"),
    ("C25", "C25"): ("C25", "C25"),
    ("C30", "C32"): ("C30", "C32"),
    ("C33", "C34"): ("C33", "C34"),
    ("C37", "C38"): ("C37", "C38"),
    ("C40", "C41"): ("C40", "C41"),
    ("C43", "C44"): ("C44", "C44"),
    ("C50", "C50"): ("C50", "C50"),
    ("C51", "C58"): ("C51", "C58"),
    ("C60", "C63"): ("C60", "C63"),
    ("C64", "C66"): ("C64", "C66"),
    ("C67", "C67"): ("C67", "C67"),
    ("C69", "C69"): ("C69", "C69"),
    ("C70", "C72"): ("C70", "C72"),
    ("C73", "C73"): ("C73", "C73"),
    ("C74", "C75"): ("C74", "C75"),
    ("D05", "D05"): ("C50", "C50"),
    ("D06", "D06"): ("C53", "C53"),
}
_OTHER_ORGAN = " or ".join(
    f"icd10 between '{first}' and '{last}.99' "
    f"and topography not between '{here_first}.0' and '{here_last}.9'"
    for (first, last), (here_first, here_last) in _SAME_ORGAN.items()
)

CHECKS: Final[tuple[Check, ...]] = (
    # --- sex
    _error(
        "female organ of a man", "IARC, ENCR", "sex = male and site between 'C51' and 'C58'",
        "A man with a tumour of the female genital organs.",
    ),
    _error(
        "male organ of a woman", "IARC, ENCR", "sex = female and site between 'C60' and 'C63'",
        "A woman with a tumour of the male genital organs.",
    ),
    _error(
        "female histology of a man", "IARC",
        "sex = male and morphology in ('8930', '8931', '9000')",
        "A man with an endometrial stromal or a Brenner tumour.",
    ),
    _error(
        "male histology of a woman", "IARC",
        "sex = female and morphology between '9061' and '9063'",
        "A woman with a seminoma.",
    ),
    # --- age
    _warning("age over 110", "ENCR", "age > 110", "Older than 110 at diagnosis."),
    _warning(
        "alive beyond 110", "ENCR", "age <= 110 and age + follow_up_days // 365 > 110",
        "Followed up to an age over 110.",
    ),
    _warning(
        "prostate under 40", "IARC, ENCR",
        "site = 'C61' and morphology between '8140' and '8149' and age < 40",
        "Adenocarcinoma of the prostate before 40.",
    ),
    _warning("breast under 20", "IARC, ENCR", "site = 'C50' and age < 20", "Breast, before 20."),
    _warning(
        "uterus under 20", "IARC, ENCR", "site between 'C53' and 'C55' and age < 20",
        "Cervix or body of the uterus, before 20.",
    ),
    _warning(
        "digestive organs under 20", "IARC, ENCR",
        "site in ('C15', 'C19', 'C20', 'C21', 'C23', 'C24') and age < 20",
        "Oesophagus, rectum, anus, gallbladder or bile ducts, before 20.",
    ),
    _warning(
        "lung or colon under 20", "IARC, ENCR",
        "site in ('C18', 'C33', 'C34') and morphology between '8010' and '8239' and age < 20",
        "Carcinoma other than carcinoid of the lung or colon, before 20.",
    ),
    _warning(
        "mesothelioma under 15", "IARC", "morphology between '9050' and '9055' and age < 15",
        "Mesothelioma before 15.",
    ),
    _warning(
        "placenta over 45", "IARC, ENCR", "site = 'C58' and morphology = '9100' and age > 45",
        "Choriocarcinoma of the placenta after 45.",
    ),
    _warning(
        "myeloma under 20", "IARC, ENCR", "morphology between '9731' and '9734' and age < 20",
        "Plasma cell tumour before 20.",
    ),
    _warning(
        "chronic lymphocytic leukaemia under 20", "IARC, ENCR", "morphology = '9823' and age < 20",
        "Chronic lymphocytic leukaemia before 20.",
    ),
    _warning(
        "retinoblastoma over 5", "IARC, ENCR", "morphology between '9510' and '9514' and age > 5",
        "Retinoblastoma after 5.",
    ),
    _warning(
        "nephroblastoma over 9", "IARC, ENCR", "morphology = '8960' and age > 9",
        "Nephroblastoma (Wilms tumour) after 9.",
    ),
    _warning(
        "neuroblastoma over 9", "IARC, ENCR", "morphology in ('9490', '9500') and age > 9",
        "Neuroblastoma or ganglioneuroblastoma after 9.",
    ),
    _warning(
        "hepatoblastoma over 5", "IARC, ENCR", "morphology = '8970' and age > 5",
        "Hepatoblastoma after 5.",
    ),
    _warning(
        "liver carcinoma under 9", "IARC", "morphology between '8170' and '8175' and age < 9",
        "Hepatocellular carcinoma before 9.",
    ),
    _warning(
        "kidney carcinoma under 9", "IARC", f"site = 'C64' and {_CARCINOMA} and age < 9",
        "Carcinoma of the kidney before 9.",
    ),
    _warning(
        "thyroid or nasopharynx carcinoma under 6", "IARC",
        f"site in ('C11', 'C73') and {_CARCINOMA} and age < 6",
        "Carcinoma of the thyroid or nasopharynx before 6.",
    ),
    _warning(
        "skin carcinoma under 5", "IARC", f"site = 'C44' and {_CARCINOMA} and age < 5",
        "Carcinoma of the skin before 5.",
    ),
    _warning(
        "Hodgkin lymphoma under 3", "IARC", "morphology between '9650' and '9667' and age < 3",
        "Hodgkin lymphoma before 3.",
    ),
    _warning(
        "bone sarcoma under 6", "IARC",
        "(morphology between '9180' and '9200' or morphology between '9220' and '9243') "
        "and age < 6",
        "Osteosarcoma or chondrosarcoma before 6.",
    ),
    _warning(
        "Ewing sarcoma under 4", "IARC", "morphology = '9260' and age < 4",
        "Ewing sarcoma before 4.",
    ),
    # --- behaviour
    _error(
        "in situ where nothing is in situ", "IARC, ENCR",
        "behaviour = 2 and site in ('C40', 'C41', 'C42', 'C47', 'C49', 'C70', 'C71', 'C72', 'C80')",
        "In situ in bone, blood, nerves, soft tissue or brain, or of unknown primary site.",
    ),
    _error(
        "in situ sarcoma", "IARC, ENCR", f"behaviour = 2 and {_SARCOMA}", "A sarcoma in situ."
    ),
    _warning(
        "lymphoma or leukaemia not malignant", "IARC, ENCR", f"behaviour in (0, 2) and {_BLOOD}",
        "Lymphoma or leukaemia, benign or in situ.",
    ),
    _error(
        "carcinoma not malignant", "IARC, ENCR",
        "behaviour in (0, 1) "
        "and (morphology between '8012' and '8035' or morphology between '8041' and '8046')",
        "A carcinoma of benign or uncertain behaviour.",
    ),
    _error(
        "ICD-10 malignant, behaviour not", "ENCR",
        "icd10 between 'C00' and 'C97.99' and behaviour in (0, 1, 2)",
        "ICD-10 says malignant (C), the behaviour says otherwise.",
    ),
    _error(
        "ICD-10 in situ, behaviour not", "ENCR",
        "icd10 between 'D00' and 'D09.99' and behaviour in (0, 1, 3)",
        "ICD-10 says in situ (D00-D09), the behaviour says otherwise.",
    ),
    _error(
        "ICD-10 benign, behaviour not", "ENCR",
        "icd10 between 'D10' and 'D36.99' and behaviour in (2, 3)",
        "ICD-10 says benign (D10-D36), the behaviour says in situ or malignant.",
    ),
    _error(
        "ICD-10 uncertain, behaviour not", "ENCR",
        "icd10 between 'D37' and 'D44.99' and behaviour in (0, 2, 3)",
        "ICD-10 says uncertain (D37-D44), the behaviour says otherwise.",
    ),
    # --- basis
    _warning(
        "histology without microscopy", "IARC, ENCR",
        f"basis in (0, 1, 2, 4) and not ({_WITHOUT_HISTOLOGY})",
        "A specific histology, but no microscopy as basis of diagnosis.",
    ),
    _warning(
        "microscopy without histology", "ENCR", "basis in (6, 7) and morphology = '8000'",
        "Histology as basis of diagnosis, but the morphology says only neoplasm.",
    ),
    _error(
        "death certificate only, alive", "ENCR", "basis = 0 and vital_status = alive",
        "Known from a death certificate only, and alive.",
    ),
    _error(
        "death certificate only, followed up", "ENCR", "basis = 0 and follow_up_days > 0",
        "Known from a death certificate only, with days of follow-up.",
    ),
    _error(
        "death certificate only, treated", "ENCR", f"basis = 0 and ({_TREATED})",
        "Known from a death certificate only, and treated.",
    ),
    # --- grade
    _warning(
        "grade of a lymphoma or leukaemia", "IARC, ENCR", f"grade is known and {_BLOOD}",
        "A grade 1-4 of a lymphoma or leukaemia.",
    ),
    _warning(
        "grade of a benign tumour", "IARC, ENCR", "grade is known and behaviour in (0, 1)",
        "A grade, but the behaviour is benign or uncertain.",
    ),
    _warning(
        "undifferentiated of low grade", "IARC, ENCR",
        "morphology in ('8020', '8021') and grade in (1, 2, 3)",
        "Undifferentiated or anaplastic by morphology, of grade 1 to 3.",
    ),
    # --- stage and TNM
    _warning(
        "metastasis below stage 4", "TNM, ENCR",
        "m = 1 and stage in (0, 1, 2, 3) and site not in ('C58', 'C62', 'C73')",
        "M1, but a stage below 4 (placenta, testis and thyroid left out).",
    ),
    _warning(
        "invasive stage 0", "TNM, ENCR", "stage = 0 and behaviour = 3",
        "Stage 0, but the behaviour is malignant.",
    ),
    _warning(
        "invasive Tis", "TNM, ENCR", "t = 'is' and behaviour = 3",
        "Tis, but the behaviour is malignant.",
    ),
    _warning(
        "in situ T1 to T4", "TNM, ENCR", "behaviour = 2 and t in (1, 2, 3, 4)",
        "In situ, but T1 to T4.",
    ),
    _error(
        "in situ with spread", "TNM, ENCR", "behaviour = 2 and (n in (1, 2, 3) or m = 1)",
        "In situ, with nodes or metastases.",
    ),
    _error(
        "stage 0 with spread", "TNM, ENCR", "stage = 0 and (n in (1, 2, 3) or m = 1)",
        "Stage 0, with nodes or metastases.",
    ),
    _warning(
        "Tis without spread above stage 0", "TNM", "t = 'is' and n = 0 and m = 0 and stage != 0",
        "Tis N0 M0, but a stage above 0.",
    ),
    _warning(
        "TNM of a lymphoma or leukaemia", "TNM, ENCR",
        f"t is known and {_BLOOD} and morphology not between '9700' and '9701'",
        "A T category of a lymphoma or leukaemia (mycosis fungoides left out).",
    ),
    # --- side
    _warning(
        "side of an unpaired organ", "IARC", f"{_UNPAIRED} and laterality in (left, right, both)",
        "A side of an organ that there is once.",
    ),
    _warning(
        "no side of a paired organ", "IARC", f"{PAIRED} and laterality = none",
        "A paired organ, and a side is said not to apply.",
    ),
    _warning(
        "side of a paired organ unknown", "IARC", f"{PAIRED} and laterality is unknown",
        "A paired organ, side not stated.",
    ),
    # --- death and follow-up
    _warning(
        "dead without cause", "ENCR",
        "vital_status = dead and cause is unknown and death_by_tumour is unknown",
        "Dead, without a cause and without a word whether by the tumour.",
    ),
    _error(
        "alive with a cause of death", "ENCR",
        "vital_status = alive and (cause is known or death_by_tumour = yes)",
        "Alive, with a cause of death.",
    ),
    _warning(
        "death by tumour, cause not", "model",
        "death_by_tumour = yes and cause not between 'C00' and 'D48.99'",
        "Judged to have died of the tumour, with a cause that is none.",
    ),
    _warning(
        "alive without follow-up", "ENCR", "vital_status = alive and follow_up_days = 0",
        "Alive, never heard of after the day of diagnosis.",
    ),
    _warning(
        "recurrence after the end", "model", "recurrence_days > follow_up_days",
        "A recurrence after death or last contact.",
    ),
    _warning(
        "recurrence at diagnosis", "model", "recurrence_days = 0",
        "A recurrence on the day of diagnosis.",
    ),
    # --- topography, morphology and ICD-10
    _warning(
        "carcinoma where there is no epithelium", "IARC, ENCR",
        f"{_CARCINOMA} and site in ('C40', 'C41', 'C42', 'C47', 'C70', 'C71', 'C72')",
        "A carcinoma of bone, blood, nerves, meninges or brain.",
    ),
    _warning(
        "melanoma outside skin, eye and mucosa", "IARC, ENCR",
        f"{_MELANOMA} and site not between 'C00' and 'C15' and site not in ('C20', 'C21', 'C30', "
        "'C31', 'C43', 'C44', 'C51', 'C52', 'C53', 'C60', 'C63', 'C69', 'C70', 'C80')",
        "A melanoma in an organ that has none of its own.",
    ),
    _warning(
        "glioma outside the nervous system", "IARC, ENCR",
        "morphology between '9380' and '9480' and site not in ('C69', 'C70', 'C71', 'C72', 'C75', "
        "'C80')",
        "A glioma outside brain, cord, eye and pituitary.",
    ),
    _warning(
        "retinoblastoma outside the eye", "IARC, ENCR",
        "morphology between '9510' and '9514' and site not in ('C69', 'C80')",
        "A retinoblastoma outside the eye.",
    ),
    _warning(
        "nephroblastoma outside the kidney", "IARC, ENCR",
        "morphology = '8960' and site not in ('C64', 'C80')",
        "A nephroblastoma outside the kidney.",
    ),
    _warning(
        "renal cell carcinoma outside the kidney", "IARC, ENCR",
        "morphology = '8312' and site not in ('C64', 'C80')",
        "A renal cell carcinoma outside the kidney.",
    ),
    _warning(
        "liver cell carcinoma outside the liver", "IARC, ENCR",
        "morphology between '8170' and '8175' and site not in ('C22', 'C80')",
        "A hepatocellular carcinoma outside the liver.",
    ),
    _warning(
        "mesothelioma outside serous membranes", "IARC, ENCR",
        "morphology between '9050' and '9053' and site not in ('C38', 'C45', 'C48', 'C63', 'C80')",
        "A mesothelioma outside pleura, pericardium, peritoneum and tunica.",
    ),
    _warning(
        "osteosarcoma outside bone", "IARC, ENCR",
        "morphology between '9180' and '9200' and site not in ('C40', 'C41', 'C49', 'C80')",
        "An osteosarcoma outside bone and soft tissue.",
    ),
    _warning(
        "seminoma elsewhere", "IARC, ENCR",
        "morphology between '9061' and '9063' and site not in ('C38', 'C48', 'C62', 'C71', 'C75', "
        "'C80')",
        "A seminoma outside testis and midline.",
    ),
    _warning(
        "leukaemia or myeloma outside marrow and blood", "IARC, ENCR",
        "(morphology between '9800' and '9929' or morphology in ('9732', '9733')) "
        "and topography not between 'C42.0' and 'C42.4'",
        "A leukaemia or multiple myeloma with another topography than blood or marrow.",
    ),
    _error(
        "ICD-10 lymphoma or leukaemia, morphology not", "ENCR",
        "icd10 between 'C81' and 'C96.99' and morphology between '8010' and '9589'",
        "ICD-10 says lymphoma or leukaemia (C81-C96), the morphology says otherwise.",
    ),
    _warning(
        "morphology lymphoma or leukaemia, ICD-10 not", "ENCR",
        f"{_BLOOD} and icd10 between 'C00' and 'C80.99'",
        "The morphology says lymphoma or leukaemia, ICD-10 a solid tumour.",
    ),
    _error(
        "ICD-10 melanoma, morphology not", "ENCR",
        "icd10 between 'C43' and 'C43.99' and morphology between '8010' and '9992' "
        f"and not ({_MELANOMA})",
        "ICD-10 says melanoma (C43), the morphology says otherwise.",
    ),
    _error(
        "ICD-10 mesothelioma, morphology not", "ENCR",
        "icd10 between 'C45' and 'C45.99' and morphology between '8010' and '9992' "
        "and morphology not between '9050' and '9055'",
        "ICD-10 says mesothelioma (C45), the morphology says otherwise.",
    ),
    _error(
        "ICD-10 and topography of different organs", "ENCR", _OTHER_ORGAN,
        "ICD-10 names one organ, the topography another.",
    ),
    # --- the patient's history
    _warning(
        "more than five tumours", "model", "sequence > 5",
        "The sixth or a later tumour of a patient; often one tumour under several keys.",
    ),
)  # fmt: skip
"""All checks, in the order of this file."""
