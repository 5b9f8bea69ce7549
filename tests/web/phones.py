"""A phone's screen, and what every page on it is held to."""

from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = Path("/usr/bin/chromium")
PHONE = {"width": 360, "height": 740}
RULES = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }
}


def phone(chromium: Browser, **settings: Any) -> BrowserContext:
    return chromium.new_context(viewport=PHONE, has_touch=True, is_mobile=True, **settings)


def check(page: Page) -> None:
    """Hold a page to the rules; nothing on it is wider than the screen."""
    found = Axe().run(page, options=RULES)
    assert found.violations_count == 0, f"{page.url}: {found.generate_report()}"
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"], page.url
