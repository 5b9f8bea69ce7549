"""The page's texts as they stand in the code, and the catalogues that translate them.

    python tests/web/catalogues.py      takes new texts into the catalogues, and old ones out

A new text comes without a translation; the tests fail until it has one.
"""

from importlib.resources import files
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

WEB = Path(str(files("upcare_mpc.web")))
TRANSLATED = ("de", "fr")
_METHODS = [("**.py", "python"), ("templates/**", "jinja2.ext.babel_extract")]


def extracted() -> Catalog:
    """Return every text of the page, in the order of the files."""
    found = Catalog()
    keywords = {"marked": None, "_": None, "gettext": None, "ngettext": (1, 2)}
    options = {"templates/**": {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}}
    for name, _line, text, _comments, _context in sorted(
        extract_from_dir(WEB, _METHODS, options, keywords), key=lambda one: one[:2]
    ):
        del name
        found.add(text)
    return found


def catalogue(language: str) -> Catalog:
    """Read a catalogue as it is."""
    with (WEB / "catalogue" / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def update() -> None:
    """Bring the catalogues up to date; a text that has changed loses its translation."""
    for language in TRANSLATED:
        path = WEB / "catalogue" / f"{language}.po"
        old = catalogue(language) if path.exists() else Catalog(locale=language)
        new = Catalog(locale=language)
        for message in extracted():
            if message.id:
                known = old.get(message.id)
                new.add(message.id, known.string if known is not None else "")
        with path.open("wb") as file:
            write_po(file, new, width=100, omit_header=True)


if __name__ == "__main__":
    update()
