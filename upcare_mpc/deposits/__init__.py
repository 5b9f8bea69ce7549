"""The papers of a collection: who may deposit what, the deposits, and what was made of them.

    collection   what is collected for which study, by whom; the platform composes it
    key          what deposits are encrypted to; every holder signs it
    submission   one deposit: who, with whose word, and the payload
    envelopes    the payload: threshold RLWE with its proof, or a sealed share for each holder
    findings     what the holders say about the deposits, and the set that enters the study

Pure: no clock, no network, no disk; randomness is passed in. What is signed begins with
``upcare/v1/deposit-`` and its use.
"""

from upcare_mpc.study.packed import framed

__all__ = ["statement"]


def statement(use: str, *fields: bytes) -> bytes:
    """Return the bytes to sign, or to hash, for one use."""
    return f"upcare/v1/deposit-{use}|".encode() + framed(*fields)
