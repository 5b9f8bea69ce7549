"""`project.toml`: what a researcher asks a key for, in a file that she keeps beside the project."""

import datetime
from pathlib import Path
from typing import Final

from upcare_mpc.access.application import Application
from upcare_mpc.config.toml_table import Table
from upcare_mpc.consent import diseases as icd
from upcare_mpc.consent.duo import OBLIGATIONS
from upcare_mpc.errors import ConfigError, InputError

__all__ = ["read_application"]

MAX_DAYS: Final = 31
_DAYS: Final = 14
_CODES: Final = {name: code for code, name in OBLIGATIONS.items()}


def read_application(
    path: Path, *, today: datetime.date, salt: bytes
) -> tuple[Application, datetime.timedelta]:
    """Read a file.

    Args:
        path: The file.
        today: Its month is asked for where the file names none.
        salt: 16 random bytes.

    Returns:
        The application, and for how long registries may issue.

    Raises:
        ConfigError: One line that names the key, what was wanted and what was got.
    """
    table = Table.read(path)
    table.only(
        *("version", "project", "title", "purposes", "diseases", "registries"),
        *("epoch", "claims", "region", "evidence", "days"),
    )
    table.version()
    given = table.content
    try:
        application = Application(
            project=table.text("project"),
            title=table.text("title"),
            purposes=frozenset(table.texts("purposes")),
            diseases=(
                icd.categories(table.texts("diseases")) if "diseases" in given else icd.NEOPLASMS
            ),
            registries=tuple(sorted(table.texts("registries"))),
            epoch=table.text("epoch") if "epoch" in given else today.isoformat()[:7],
            claims=frozenset(table.texts("claims") if "claims" in given else ()),
            evidence=_evidence(table.table("evidence")) if "evidence" in given else {},
            region=table.text("region") if "region" in given else None,
            salt=salt,
        )
    except ConfigError:
        raise
    except InputError as error:
        raise ConfigError(f"{path.name}: {error}") from None
    days = table.integer("days", 1, MAX_DAYS) if "days" in given else _DAYS
    return application, datetime.timedelta(days=days)


def _evidence(table: Table) -> dict[str, str]:
    """By the obligations' short names, ``irb = "ethics vote 12/2026"``."""
    table.only(*_CODES)
    return {_CODES[name]: table.text(name) for name in table.content}
