"""Each consent names the text that was answered; so no text changes under its name.

If this fails, the words of the page on which patients answer have changed: raise
``dossier.FORM_VERSION`` and add the digests of the new words here. Old ones stay.
"""

import re
from hashlib import sha256

import pytest
from house import House

from upcare_mpc.consent.explain import LANGUAGES
from upcare_mpc.consent.model import Activity
from upcare_mpc.web.dossier import FORM_VERSION

DIGESTS = {
    (1, "de", "statistics"): "2f88ec04e6954607",
    (1, "de", "records"): "7303b49aee1c5560",
    (1, "fr", "statistics"): "1a6115363ecc8c01",
    (1, "fr", "records"): "11c5a1d78b4131e7",
    (1, "en", "statistics"): "65b39e20a579c79a",
    (1, "en", "records"): "deb39a7d92f15662",
}


@pytest.mark.parametrize("activity", Activity)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_of_the_form_are_those_of_its_version(
    house: House, language: str, activity: Activity
) -> None:
    browser = house.browser()
    browser.enter(house.code(), language)

    page = browser.get(f"/{language}/answer/{activity}")

    main = re.search(r"<main.*</main>", page.text, re.DOTALL)
    assert main is not None
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", main[0]))
    digest = sha256(text.encode()).hexdigest()[:16]
    assert digest == DIGESTS[FORM_VERSION, language, activity]
