"""A researcher's list of her studies: hers alone, newest first, page by page.

Pages are read and worked out in a thread, so that others are answered meanwhile: a study can have
64 KiB.
"""

import asyncio
import datetime
import time

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.errors import StudyError
from upcare_mpc.link.statements import check_authorization, question_digest
from upcare_mpc.storage.studies import Studies, StudyRow
from upcare_mpc.study.spec import Study

__all__ = ["listed"]

STUDIES_A_PAGE = 100


async def listed(
    studies: Studies, request: coordinator_pb2.ListRequest
) -> coordinator_pb2.ListResponse:
    """Return a page of the studies of whoever asks, and how far each is; or one of them.

    Raises:
        ProtocolError: It is not signed for a list, now, by the key that it names.
        StudyError: There is no such page.
    """
    check_authorization(request.authorization, "list", now=time.time())
    return await asyncio.to_thread(_one if request.study_digest else _page, studies, request)


def _page(studies: Studies, request: coordinator_pb2.ListRequest) -> coordinator_pb2.ListResponse:
    if not 1 <= request.limit <= STUDIES_A_PAGE:
        raise StudyError(f"limit: wanted 1 to {STUDIES_A_PAGE}, got {request.limit}")
    key = request.authorization.signing_key
    after = question_digest(request.after, key) if request.after else None
    rows = studies.page(key.hex(), after=after, limit=request.limit + 1)
    return coordinator_pb2.ListResponse(
        studies=[_listed(row) for row in rows[: request.limit]], more=len(rows) > request.limit
    )


def _one(studies: Studies, request: coordinator_pb2.ListRequest) -> coordinator_pb2.ListResponse:
    key = question_digest(request.study_digest, request.authorization.signing_key)
    try:
        return coordinator_pb2.ListResponse(studies=[_listed(studies.get(key))])
    except StudyError:
        return coordinator_pb2.ListResponse()


def _listed(row: StudyRow) -> coordinator_pb2.Listed:
    study = Study.from_canonical(row.canonical)
    return coordinator_pb2.Listed(
        study_digest=study.digest,
        title=study.title,
        state=row.state,
        reason=row.error or "",
        submitted=datetime.datetime.fromisoformat(row.created).timestamp(),
        changed=datetime.datetime.fromisoformat(row.updated).timestamp(),
    )
