"""Site groups: the same from ICD-10 and from ICD-O, and nothing between the groups."""

import pytest

from upcare_mpc.records.site_groups import SITE_GROUPS, site_group


@pytest.mark.parametrize(
    ("icd10", "group"),
    [
        ("C50.9", "breast"),
        ("C50", "breast"),
        ("D05.1", "breast_in_situ"),
        ("C21.0", "colorectum"),
        ("C22.1", "liver"),
        ("C48.0", "other"),
        ("C77.9", "unknown_primary"),
        ("C97", "other"),
        ("D09.0", "bladder"),
        ("D09.1", "other"),
        ("D41.4", "bladder"),
        ("D32.0", "other"),
        ("D46.9", "mds_mpn"),
        ("D50.0", None),
        ("I25.9", None),
    ],
)
def test_icd10_decides_where_it_is_stated(icd10: str, group: str | None) -> None:
    assert site_group(icd10, "C34.1", "8140", "3") == group


@pytest.mark.parametrize(
    ("topography", "morphology", "behaviour", "group"),
    [
        ("C50.9", "8500", "3", "breast"),
        ("C50.9", "8500", "2", "breast_in_situ"),
        ("C53.0", "8077", "2", "cervix_in_situ"),
        ("C67.2", "8120", "2", "bladder"),
        ("C67.2", "8130", "1", "bladder"),
        ("C18.7", "8140", "2", "other"),
        ("C44.5", "8720", "3", "melanoma"),
        ("C44.3", "8090", "3", "skin_nonmelanoma"),
        ("C44.3", None, "3", None),
        ("C38.4", "9050", "3", "mesothelioma"),
        ("C44.3", "9140", "3", "kaposi"),
        ("C77.0", "9650", "3", "hodgkin"),
        ("C16.9", "9680", "3", "nhl"),
        ("C42.1", "9732", "3", "myeloma"),
        ("C42.1", "9861", "3", "leukaemia"),
        ("C42.1", "9983", "3", "mds_mpn"),
        ("C42.1", None, "3", None),
        ("C71.1", "9440", "3", "brain_cns"),
        ("C70.0", "9530", "0", "other"),
        ("C80.9", "8000", "3", "unknown_primary"),
        ("C50.9", None, "3", "breast"),
        ("C50.9", "8500", None, None),
        (None, "8500", "3", None),
    ],
)
def test_icd_o_leads_to_the_group_where_there_is_no_icd10(
    topography: str | None, morphology: str | None, behaviour: str | None, group: str | None
) -> None:
    assert site_group(None, topography, morphology, behaviour) == group


def test_every_malignant_site_leads_to_the_same_group_from_both_classifications() -> None:
    """Of solid tumours, whose ICD-10 and ICD-O sites are the same."""
    morphological = {"C43", "C45", "C46", "C77", "C78", "C79", "C44", "C42", "C39", "C26"}
    for number in range(81):
        site = f"C{number:02}"
        if site not in morphological:
            assert site_group(site, None, None, None) == site_group(None, f"{site}.9", "8000", "3")


def test_every_tumour_has_a_group_that_a_study_can_name() -> None:
    codes = [f"C{n:02}" for n in range(98)] + [f"D{n:02}" for n in range(49)]

    assert {site_group(code, None, None, None) for code in codes} == set(SITE_GROUPS)


def test_a_code_that_is_no_code_is_unknown_or_other_and_never_an_error() -> None:
    assert site_group("", "", "", "") is None
    assert site_group(None, "C5", "x", "3") == "other"
