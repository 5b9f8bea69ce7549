"""A session, and what registries of its committee say about their noise banks."""

from fractions import Fraction

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.study.descriptor import Descriptor, Member
from upcare_mpc.study.draw import DIRECT, SEGMENT_CELLS

NAMES = ("de-a", "de-b", "de-c")
EPOCH = b"e" * 32
NONCE = bytes(16)
SESSION = Descriptor(
    network=bytes(32),
    study=bytes(32),
    layout=bytes(32),
    cells=SEGMENT_CELLS + 1,
    law=b"l" * 32,
    noise=DIRECT,
    program="noisy-sum/1",
    epsilon=Fraction(1),
    rho=Fraction(1, 2),
    delta=Fraction(0),
    overlap=1,
    signing_key=bytes(32),
    sealing_key=bytes(32),
    roster=tuple(
        Member(name=name, certificate=name.encode().ljust(32), snapshot=bytes(32))
        for name in (*NAMES, "fr-a")
    ),
    parties=3,
    threshold=1,
    nonce=bytes(16),
)


def said(
    *, epoch: bytes = EPOCH, first: int = 0, segments: int = 8, room: int = 8, life: bytes = NONCE
) -> coordinator_pb2.Banks:
    bank = coordinator_pb2.Bank(
        committee=SESSION.committee, law=SESSION.law, epoch=epoch, next=first, segments=segments
    )
    return coordinator_pb2.Banks(life=life, room=room, banks=[bank])
