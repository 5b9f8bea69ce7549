"""A platform with its own certificate that answers whatever a test says."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from upcare_mpc._proto.upcare.board.v1 import board_pb2_grpc
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2_grpc
from upcare_mpc._proto.upcare.vault.v1 import vault_pb2_grpc
from upcare_mpc.link.certificates import Identity

Answer = Callable[[Any, Any], Any]


@contextmanager
def serving(identity: Identity, **answers: Answer) -> Iterator[str]:
    """Serve on loopback; ``answers`` by the name of the method, with (request, context)."""
    server = grpc.server(
        ThreadPoolExecutor(4),
        options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
    )
    for register, servicer in (
        (board_pb2_grpc.add_BoardServicer_to_server, board_pb2_grpc.BoardServicer),
        (board_pb2_grpc.add_FilingServicer_to_server, board_pb2_grpc.FilingServicer),
        (deposit_pb2_grpc.add_DepositingServicer_to_server, deposit_pb2_grpc.DepositingServicer),
        (deposit_pb2_grpc.add_CollectingServicer_to_server, deposit_pb2_grpc.CollectingServicer),
        (vault_pb2_grpc.add_KeepingServicer_to_server, vault_pb2_grpc.KeepingServicer),
        (vault_pb2_grpc.add_FetchingServicer_to_server, vault_pb2_grpc.FetchingServicer),
    ):
        services = servicer()
        for name, answer in answers.items():
            if hasattr(services, name):
                setattr(services, name, answer)
        register(services, server)
    credentials = grpc.ssl_server_credentials(
        [(identity.key_pem, identity.certificate_pem)],
        root_certificates=identity.network.ca_pem,
        require_client_auth=False,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=0).wait(5)
