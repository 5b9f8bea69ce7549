"""Sessions that are over: what registries still say about them, and what they are still owed.

A node that was lost comes back with its signed word that no output left, or with an output that
was stored and not yet sent. With the words of all computing registries every charge is released;
with more than t outputs a study that had failed has its answer after all. Both at once cannot be:
a registry gives its word or its output, never both.
"""

from collections.abc import Callable

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.coordinator.attendance import Attendance
from upcare_mpc.coordinator.run import Run
from upcare_mpc.storage.studies import Studies
from upcare_mpc.study.descriptor import Descriptor

__all__ = ["EndedSessions"]


class EndedSessions:
    """All sessions that have papers and do not run.

    Args:
        studies: The platform's storage.
        attendance: The way to the registries.
        answered: Called with a session's digest when late outputs make an answer of it.
    """

    def __init__(
        self, studies: Studies, attendance: Attendance, *, answered: Callable[[bytes], None]
    ) -> None:
        self._studies = studies
        self._attendance = attendance
        self._answered = answered

    def hear(self, name: str, session: bytes, message: coordinator_pb2.AttendRequest) -> None:
        """Take a word or an output that comes after its session has ended."""
        run = self._recall_run(session)
        if run is not None and name in run.names:
            run.hear(name, message)
            self._conclude(run)

    def joined(self, name: str, *, running: frozenset[bytes]) -> None:
        """Catch up with a registry that was away."""
        for session in self._studies.sessions():
            run = None if session in running else self._recall_run(session)
            if run is None or name not in run.names:
                continue
            self._conclude(run)
            place = run.descriptor.place(name)
            owes = place < run.descriptor.parties and place not in run.outputs
            if owes and name not in run.words:
                recall = coordinator_pb2.Recall(session_digest=session)
                self._attendance.tell([name], recall=recall)

    def _conclude(self, run: Run) -> None:
        if not run.release() and len(run.outputs) > run.descriptor.threshold:
            self._answered(run.descriptor.digest)

    def _recall_run(self, session: bytes) -> Run | None:
        """A session as its papers remember it."""
        papers = self._studies.papers(session, "descriptor")
        if "" not in papers:
            return None
        descriptor = Descriptor.from_canonical(papers[""])
        certificates = self._studies.papers(session, "certificate")
        words = self._studies.papers(session, "no-output")
        outputs = self._studies.papers(session, "output")
        return Run(
            descriptor=descriptor,
            certificates=[certificates[member.name].decode() for member in descriptor.roster],
            attendance=self._attendance,
            note=lambda _phase, _text: None,
            store=lambda kind, party, content: self._studies.put_paper(
                session, kind, party, content
            ),
            outputs={descriptor.place(name) for name in outputs},
            words={name: study_pb2.NoOutput.FromString(word) for name, word in words.items()},
        )
