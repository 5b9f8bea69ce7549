"""The page's words: one catalogue a language, read as text, and days and countries by Babel.

English is what stands in the code; ``catalogue/de.po`` and ``fr.po`` translate it. Texts in code
are marked where they are defined (`marked`) and said where they are shown (`Language.say`). A
catalogue is data of ours: a translation is HTML as it stands, what is put into it is escaped.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Final

from babel import Locale
from babel.core import negotiate_locale
from babel.dates import format_date, format_timedelta
from babel.messages.pofile import read_po
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from upcare_mpc.consent.explain import LANGUAGES

__all__ = ["LANGUAGES", "NAMES", "Language", "language", "marked", "preferred"]

NAMES: Final = {"de": "Deutsch", "fr": "Français", "en": "English"}
"""What each language calls itself."""

_SOURCE: Final = "en"
_LOCALES: Final = {"de": "de", "fr": "fr", "en": "en_GB"}  # day before month


def marked(text: str) -> str:
    """Mark a text for the catalogues where it is defined."""
    return text


class Language:
    """One language of the page.

    Attributes:
        code: ``de``, ``fr`` or ``en``.
        templates: The page's templates in it; everything that is put into them is escaped.
    """

    def __init__(self, code: str, texts: Mapping[str, str]) -> None:
        self.code = code
        self._texts = texts
        self._locale = Locale.parse(_LOCALES[code])
        self.templates = Environment(
            loader=PackageLoader("upcare_mpc", "web/templates"),
            extensions=["jinja2.ext.i18n"],
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.install_gettext_callables(  # type: ignore[attr-defined]  # by the extension
            self._text, self._plural, newstyle=True
        )
        self.templates.globals["language"] = self
        self.templates.filters |= {"say": self.say, "day": self.day}

    def say(self, text: str, **values: object) -> str:
        """Return a marked text in this language, with values for its ``%(name)s``."""
        said = self._text(text)
        return said % values if values else said

    def day(self, day: date) -> str:
        """Write a day as people do."""
        written = str(format_date(day, "long", self._locale))
        return f"1er{written[1:]}" if self.code == "fr" and day.day == 1 else written

    def month(self, year: int, month: int) -> str:
        """Write a month as people do."""
        return str(format_date(date(year, month, 1), "MMMM y", self._locale))

    def span(self, days: int) -> str:
        """Say how long some days are, about."""
        return str(format_timedelta(timedelta(days=days), locale=self._locale))

    def country(self, code: str) -> str:
        """Name a country (ISO 3166); its code if there is no such name."""
        return str(self._locale.territories.get(code, code))

    def listed(self, words: list[str]) -> str:
        """Join words with commas."""
        return ", ".join(words)

    def _text(self, text: str) -> str:
        return self._texts.get(text, text)

    def _plural(self, one: str, many: str, count: int) -> str:
        return self._text(one if count == 1 else many)


@cache
def language(code: str) -> Language:
    """Return one of `LANGUAGES`."""
    return Language(code, _catalogue(code))


def preferred(accepted: str | None) -> str:
    """Choose a language by the header ``Accept-Language``, which may be anything."""
    wanted = [part.partition(";")[0].strip() for part in (accepted or "")[:200].split(",")]
    return negotiate_locale(wanted, LANGUAGES, sep="-") or _SOURCE


def _catalogue(code: str) -> dict[str, str]:
    if code == _SOURCE:
        return {}
    with files("upcare_mpc.web").joinpath(f"catalogue/{code}.po").open("rb") as file:
        catalogue = read_po(file, locale=code)
    return {str(message.id): str(message.string) for message in catalogue if message.id}
