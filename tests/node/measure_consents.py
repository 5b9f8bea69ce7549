"""How long a registry needs for so many consents: to record, to freeze, to decide on all of them.

python tests/node/measure_consents.py 100000
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from upcare_mpc.config import Calendar
from upcare_mpc.consent import duo
from upcare_mpc.consent.gate import Gate
from upcare_mpc.consent.model import Activity, Answer, Consent, Terms
from upcare_mpc.consent.use import Use
from upcare_mpc.node.consents import Freezes
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import NODE

Made = TypeVar("Made")
DAYS = 2000  # so many different first days


def show(what: str, work: Callable[[], Made]) -> Made:
    """Run and time it."""
    began = time.perf_counter()
    made = work()
    sys.stdout.write(f"{what:24} {time.perf_counter() - began:8.2f} s\n")
    return made


def said(number: int) -> Consent:
    """The answer of one patient: every third has limits, and no two in a row the same day."""
    return Consent(
        patient=os.urandom(16),
        data_set="de-a",
        activity=Activity.STATISTICS,
        version=1,
        answer=Answer.PERMITTED,
        terms=Terms(
            permission=duo.HMB,
            limits=frozenset({duo.NCU}) if number % 3 == 0 else frozenset(),
            first_day=date(2020, 1, 1) + timedelta(days=number % DAYS),
        ),
        given=date(2020, 1, 1),
        form="urn:upcare:form:registry-1",
    )


def main(patients: int) -> None:
    """Measure in a temporary folder."""
    consents = [said(number) for number in range(patients)]
    use = Use(activity=Activity.STATISTICS, data_set="de-a", purposes=frozenset({duo.HMB}))
    with (
        tempfile.TemporaryDirectory() as folder,
        Database(f"sqlite:///{folder}/node.db", NODE) as database,
    ):
        kept = Consents(database)
        now = datetime.now(UTC)
        show("record", lambda: kept.record(consents, time=now))
        show("record them again", lambda: kept.record(consents, time=now))
        show("read all", lambda: sum(1 for _ in kept.all()))
        freezes = Freezes(
            folder=Path(folder) / "consents",
            consents=kept,
            data_set="de-a",
            calendar=Calendar.WEEK,
            today=lambda: date(2026, 11, 22),
        )
        show("freeze, and read it", freezes.in_force)
        frozen = show("read the freeze", freezes.in_force)
        show("decide on a study", lambda: frozen.select(use, Gate.CONSENT))


if __name__ == "__main__":
    main(int(sys.argv[1]))
