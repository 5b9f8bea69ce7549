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
from upcare_mpc.storage.deposits import Deposits
from upcare_mpc.storage.studies import Studies, StudyRow
from upcare_mpc.study.spec import Study

__all__ = ["listed"]

STUDIES_A_PAGE = 100


async def listed(
    studies: Studies, deposits: Deposits, request: coordinator_pb2.ListRequest
) -> coordinator_pb2.ListResponse:
    """Return a page of the studies of whoever asks, and how far each is; or one of them.

    Raises:
        ProtocolError: It is not signed for a list, now, by the key that it names.
        StudyError: There is no such page.
    """
    check_authorization(request.authorization, "list", now=time.time())
    work = _one if request.study_digest else _page
    return await asyncio.to_thread(work, studies, deposits, request)


def _page(
    studies: Studies, deposits: Deposits, request: coordinator_pb2.ListRequest
) -> coordinator_pb2.ListResponse:
    if not 1 <= request.limit <= STUDIES_A_PAGE:
        raise StudyError(f"limit: wanted 1 to {STUDIES_A_PAGE}, got {request.limit}")
    key = request.authorization.signing_key
    after = question_digest(request.after, key) if request.after else None
    rows = studies.page(key.hex(), after=after, limit=request.limit + 1)
    return coordinator_pb2.ListResponse(
        studies=[_listed(row, deposits) for row in rows[: request.limit]],
        more=len(rows) > request.limit,
    )


def _one(
    studies: Studies, deposits: Deposits, request: coordinator_pb2.ListRequest
) -> coordinator_pb2.ListResponse:
    key = question_digest(request.study_digest, request.authorization.signing_key)
    try:
        return coordinator_pb2.ListResponse(studies=[_listed(studies.get(key), deposits)])
    except StudyError:
        return coordinator_pb2.ListResponse()


def _listed(row: StudyRow, deposits: Deposits) -> coordinator_pb2.Listed:
    study = Study.from_canonical(row.canonical)
    found = None if study.deposits is None else deposits.of_question(row.digest)
    return coordinator_pb2.Listed(
        study_digest=study.digest,
        title=study.title,
        state=row.state,
        reason=row.error or "",
        submitted=datetime.datetime.fromisoformat(row.created).timestamp(),
        changed=datetime.datetime.fromisoformat(row.updated).timestamp(),
        collection=b"" if found is None else found.collection.digest,
    )
