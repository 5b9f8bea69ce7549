"""The platform as it is, started so that every message it receives is also written to a file.

Run as ``python recording_platform.py RECORD coordinator serve ...``. It exists in tests alone: the
platform itself has no such switch. It listens where the bytes come out of TLS.
"""

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio


class Recorder(grpc.aio.ServerInterceptor):
    """Writes every received message to ``record``, then passes it on."""

    def __init__(self, record: Path) -> None:
        self._record = record

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: Any
    ) -> Any:
        handler = await continuation(details)
        deserialize = handler.request_deserializer

        def write_down(message: bytes) -> Any:
            with self._record.open("ab") as file:
                file.write(message + b"\n")
            return deserialize(message)

        return handler._replace(request_deserializer=write_down)


if __name__ == "__main__":
    from upcare_mpc.cli.main import run

    grpc.aio.server = partial(grpc.aio.server, interceptors=[Recorder(Path(sys.argv.pop(1)))])
    run()
