"""A registry with its page in a network whose platform, in this process, asks its patients."""

import asyncio
import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from gathering import HOLDERS, Gathering, study_text
from house import House
from joint import Joint, deal

from upcare_mpc.cli.https import Place, serve_app
from upcare_mpc.config import load_agreement
from upcare_mpc.deposits.key import seed_of
from upcare_mpc.link.certificates import Identity
from upcare_mpc.node.tickets import TicketOffice
from upcare_mpc.web.questionnaires import Questionnaires

CROSS = '[questionnaire]\ncross = [["Smoked?", "Health?"]]\n'


def joint_key(platform: Gathering) -> Joint:
    """Give a collection a key that can be opened."""
    draws = chain([seed_of(platform.collection)], map(os.urandom, repeat(0)))

    def random(count: int) -> bytes:
        return next(draws) or os.urandom(count)

    joint = deal(3, random)
    public = joint.public.to_bytes()
    platform.describe_as(
        platform.collection, [platform.key_of(name, public=public) for name in HOLDERS]
    )
    return joint


class Asking(House):
    """Use as a context manager.

    Attributes:
        platform: What it says, and what it was given.
        joint: The joint key, and what all holders know together.
        questionnaires: Of the page; no thread runs, tests call ``refresh``.
    """

    def __init__(
        self, folder: Path, *, envelope: str = "rlwe", questions: str = "", **settings: Any
    ) -> None:
        super().__init__(folder, **settings)
        text = study_text(registries=(), patients=True, envelope=envelope)
        if questions:
            text = text[: text.index("[[questionnaire.questions]]")] + questions
        else:
            text += CROSS
        self.platform = Gathering.of(folder / "world", text)
        if envelope == "rlwe":
            self.joint = joint_key(self.platform)
        self.now = datetime.now(UTC).replace(microsecond=0)
        shutil.copytree(folder / "world" / "de-a" / "identity", self.party.identity_folder)
        self.office = TicketOffice(
            party=self.party,
            identity=Identity.load(self.party.identity_folder, now=self.now),
            database=self.database,
            clock=lambda: self.now,
        )
        self.questionnaires = Questionnaires(
            self.office,
            load_agreement(self.party.identity_folder),
            lambda: self.platform,  # type: ignore[arg-type, return-value]
            self.logged.append,
        )
        self.questionnaires.refresh()
        self.open(self.questionnaires)

    @property
    def place(self) -> str:
        """Of the questionnaire, without the language."""
        return f"questions/{self.platform.collection.digest.hex()}"

    @contextlib.contextmanager
    def served(self) -> Iterator[str]:
        """Serve the page on loopback, and hand on what is kept; its address."""
        place = Place.of("127.0.0.1:0", None, None)
        loop = asyncio.new_event_loop()
        with place.listening() as (waiting, url), self.questionnaires:
            task = loop.create_task(serve_app(self.app, place, waiting, connections=64))

            def serve() -> None:
                with contextlib.suppress(asyncio.CancelledError):
                    loop.run_until_complete(task)

            thread = threading.Thread(target=serve)
            thread.start()
            yield f"{url}/"
            loop.call_soon_threadsafe(task.cancel)
            thread.join(20)
            assert not thread.is_alive()
        loop.close()
