"""Checks of what registries sign in a session, before the platform keeps any of it.

The signer is the registry whose stream it came over, and its key is that of the certificate that
the session's roster names. The platform cannot open an output: whether the sealed bytes hold a
share that belongs to the others is for the researcher to see.
"""

from collections.abc import Sequence

from cryptography import x509

from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.certificates import verify_signature
from upcare_mpc.link.statements import no_output_statement, spent_in, spent_statement
from upcare_mpc.mpc.opening import output_statement, sealed_bytes
from upcare_mpc.study.descriptor import Descriptor

__all__ = ["check_no_output", "check_output", "check_spent"]


def check_output(
    output: study_pb2.Output, name: str, descriptor: Descriptor, certificates: Sequence[str]
) -> None:
    """Check a sealed share.

    Args:
        output: What was sent.
        name: The registry that sent it.
        descriptor: The session.
        certificates: PEM, in roster order; checked when the session was composed.

    Raises:
        ProtocolError: It is not a sealed share of this registry in this session.
    """
    place = descriptor.place(name)
    if not output.index == place < descriptor.parties:
        raise ProtocolError("an output comes from a computing registry, with its own place")
    if len(output.sealed) != sealed_bytes(descriptor) or len(output.agreement) != 32:
        raise ProtocolError("an output has another length than the session's table")
    dropped = list(output.dropped)
    if dropped != sorted(set(dropped)) or (dropped and not descriptor.deposits):
        raise ProtocolError("an output names the deposits that it leaves out, each once, in order")
    statement = output_statement(descriptor.digest, place, output.agreement, output.sealed, dropped)
    _check(output.session_digest, name, statement, output.signature, descriptor, certificates)


def check_spent(
    spent: study_pb2.Spent, name: str, descriptor: Descriptor, certificates: Sequence[str]
) -> None:
    """Check a statement of what was charged; arguments and errors as for ``check_output``."""
    if spent_statement(spent) != spent_statement(spent_in(descriptor, name)):
        raise ProtocolError("a registry states its own charge, which is the session's")
    _check(
        spent.session_digest,
        name,
        spent_statement(spent),
        spent.signature,
        descriptor,
        certificates,
    )


def check_no_output(
    word: study_pb2.NoOutput, name: str, descriptor: Descriptor, certificates: Sequence[str]
) -> None:
    """Check a word that no output left; arguments and errors as for ``check_output``."""
    if word.registry != name or descriptor.place(name) >= descriptor.parties:
        raise ProtocolError("a computing registry gives its word about itself")
    statement = no_output_statement(descriptor.digest, name)
    _check(word.session_digest, name, statement, word.signature, descriptor, certificates)


def _check(
    session: bytes,
    name: str,
    statement: bytes,
    signature: bytes,
    descriptor: Descriptor,
    certificates: Sequence[str],
) -> None:
    if session != descriptor.digest:
        raise ProtocolError("a signed statement is about another session")
    pem = certificates[descriptor.place(name)]
    verify_signature(x509.load_pem_x509_certificate(pem.encode()), statement, signature)
