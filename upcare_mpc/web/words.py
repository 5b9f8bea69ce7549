"""What codes mean, in words that a patient knows; English here, the other languages by catalogue.

Every code of the study language's variables and of DUO that can meet a patient has its words;
``tests/web/test_words.py`` holds the lists against ``records`` and ``consent``.
"""

from typing import Final

from upcare_mpc.consent import duo
from upcare_mpc.web.language import marked

__all__ = [
    "ILLNESSES",
    "LIMITS",
    "PERMISSIONS",
    "PURPOSES",
    "SEXES",
    "SIDES",
    "TREATMENTS",
    "UNKNOWN_LIMIT",
    "VARIABLES",
]

ILLNESSES: Final = {
    "oral_pharynx": marked("cancer of the mouth or throat"),
    "oesophagus": marked("cancer of the gullet"),
    "stomach": marked("stomach cancer"),
    "small_intestine": marked("cancer of the small intestine"),
    "colorectum": marked("bowel cancer"),
    "liver": marked("liver cancer"),
    "gallbladder_biliary": marked("cancer of the gallbladder or bile ducts"),
    "pancreas": marked("cancer of the pancreas"),
    "larynx": marked("cancer of the larynx"),
    "lung": marked("lung cancer"),
    "melanoma": marked("melanoma (skin cancer)"),
    "skin_nonmelanoma": marked("another cancer of the skin"),
    "mesothelioma": marked("cancer of the pleura (mesothelioma)"),
    "kaposi": marked("Kaposi sarcoma"),
    "soft_tissue": marked("cancer of soft tissue"),
    "breast": marked("breast cancer"),
    "breast_in_situ": marked("early form of breast cancer"),
    "vulva_vagina": marked("cancer of the vulva or vagina"),
    "cervix": marked("cancer of the cervix"),
    "cervix_in_situ": marked("early form of cancer of the cervix"),
    "corpus": marked("cancer of the womb"),
    "ovary": marked("cancer of the ovary"),
    "prostate": marked("prostate cancer"),
    "testis": marked("testicular cancer"),
    "kidney": marked("cancer of the kidney or ureter"),
    "bladder": marked("bladder cancer"),
    "brain_cns": marked("cancer of the brain or nerves"),
    "thyroid": marked("thyroid cancer"),
    "hodgkin": marked("Hodgkin lymphoma"),
    "nhl": marked("lymphoma"),
    "myeloma": marked("multiple myeloma"),
    "leukaemia": marked("leukaemia"),
    "mds_mpn": marked("chronic illness of the bone marrow"),
    "unknown_primary": marked("cancer whose origin is not known"),
    "other": marked("another tumour"),
}
"""Site groups."""

TREATMENTS: Final = {
    "tx_surgery": marked("operation"),
    "tx_radio": marked("radiotherapy"),
    "tx_chemo": marked("chemotherapy"),
    "tx_targeted": marked("targeted medicines"),
    "tx_immuno": marked("immunotherapy"),
    "tx_hormone": marked("hormone therapy"),
    "tx_transplant": marked("stem-cell transplant"),
}

SEXES: Final = {
    "female": marked("female"),
    "male": marked("male"),
    "other": marked("other"),
}

SIDES: Final = {
    "left": marked("left"),
    "right": marked("right"),
    "both": marked("both sides"),
    "median": marked("in the middle"),
    "none": marked("has no side"),
}

VARIABLES: Final = {
    "site": marked("part of the body"),
    "site_group": marked("illness, as reports count it"),
    "icd10": marked("illness (ICD-10)"),
    "topography": marked("exact place (ICD-O)"),
    "morphology": marked("kind of tissue (ICD-O)"),
    "behaviour": marked("benign or malignant (ICD-O)"),
    "sex": marked("sex"),
    "age": marked("age at diagnosis, in years"),
    "age_group": marked("age group"),
    "diagnosis_year": marked("year of diagnosis"),
    "diagnosis_month": marked("month of diagnosis"),
    "diagnosis_precision": marked("how exactly the date is known"),
    "stage": marked("stage (UICC)"),
    "grade": marked("grade"),
    "t": marked("size of the tumour (T)"),
    "n": marked("lymph nodes (N)"),
    "m": marked("metastases (M)"),
    "tnm_edition": marked("edition of the TNM rules"),
    "basis": marked("how the diagnosis was made"),
    "laterality": marked("side"),
    "region": marked("region of residence (NUTS)"),
    "nuts1": marked("region, coarse (NUTS 1)"),
    "nuts2": marked("region, finer (NUTS 2)"),
    "sequence": marked("number of the tumour"),
    "tx_surgery": marked("operation within a year"),
    "tx_radio": marked("radiotherapy within a year"),
    "tx_chemo": marked("chemotherapy within a year"),
    "tx_targeted": marked("targeted medicines within a year"),
    "tx_immuno": marked("immunotherapy within a year"),
    "tx_hormone": marked("hormone therapy within a year"),
    "tx_transplant": marked("stem-cell transplant within a year"),
    "vital_status": marked("living or not, at the last report"),
    "follow_up_days": marked("days from the diagnosis to the last report"),
    "recurrence_days": marked("days from the diagnosis to a relapse"),
    "cause": marked("cause of death (ICD-10)"),
    "cause_group": marked("death by cancer or not"),
    "death_by_tumour": marked("death by this tumour"),
}

PERMISSIONS: Final = {
    duo.NRES: marked("any use at all"),
    duo.GRU: marked("any research"),
    duo.HMB: marked("any health research"),
    duo.DS: marked("research on certain illnesses"),
    duo.POA: marked("research on where people come from"),
}

PURPOSES: Final = {
    **PERMISSIONS,
    duo.METHODS: marked("developing new methods"),
    duo.GENETIC: marked("research on genes"),
    "DUO:0000032": marked("research on the whole population"),
    "DUO:0000033": marked("research on descent"),
    "DUO:0000034": marked("research on age groups"),
    "DUO:0000035": marked("research on women or men"),
    "DUO:0000036": marked("comparison with other patients"),
    "DUO:0000037": marked("biomedical research"),
    "DUO:0000039": marked("developing medicines"),
    "DUO:0000040": marked("research on a group of illnesses"),
}

LIMITS: Final = {
    duo.NCU: marked("only where nobody wants to earn money with it"),
    duo.NPU: marked("only organisations that do not work for profit"),
    duo.NPUNCU: marked(
        "only organisations that do not work for profit, and where nobody wants to "
        "earn money with it"
    ),
    duo.IRB: marked("only with the approval of an ethics committee"),
    duo.PUB: marked("only if the results are published"),
    duo.NPOA: marked("not to study where people come from"),
    duo.NMDS: marked("not to develop new methods, such as computer programs"),
    duo.GSO: marked("only research on genes"),
    duo.COL: marked("only together with those who collected the data"),
    duo.RTN: marked("only if what is found out is handed back"),
    duo.MOR: marked("not published before a certain day"),
    duo.CC: marked("also for medical care"),
}
"""What a permission can be limited to, but for countries and days, which are said by themselves."""

UNKNOWN_LIMIT: Final = marked("a limit that cannot be checked here, so nothing is permitted")
