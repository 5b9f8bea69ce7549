"""What two parties must share for their frames to mean the same: compared in Hello.

The digest covers wire behaviour, parameters and the law of the noise, not source text: a change
that cannot be seen on the wire needs no new version, one that can steps ``PROGRAM``.
"""

import hashlib
import platform
from importlib.metadata import version

from upcare_mpc.mpc import field

__all__ = ["PROGRAM", "program_digest"]

PROGRAM = "noisy-sum/1"


def program_digest(law: bytes) -> bytes:
    """Digest of the program as both ends must run it, 32 bytes.

    Args:
        law: Digest of the exact law of the noise.

    MPyC labels messages by ``hash()`` of its program counters, which Python's minor version and
    MPyC's version decide; so both enter.
    """
    minor = platform.python_version_tuple()[1]
    text = f"{PROGRAM}|p={field.PRIME}|mpyc={version('mpyc')}|python=3.{minor}|law={law.hex()}"
    return hashlib.sha256(b"upcare/v1/program|" + text.encode()).digest()
