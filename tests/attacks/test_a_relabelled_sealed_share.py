"""Story: the platform carries sealed shares it cannot open, and swaps them.

Two studies of one researcher, the same key. The platform gives her, as the answer to the second,
shares of the first. If a sealed share said nothing about where it belongs, she would publish the
first study's numbers under the second's title, or, asked twice, the SAME noise under two charges.
"""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from upcare_mpc.errors import OpeningError
from upcare_mpc.mpc import field, opening
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.prss import LocalRandom

RESEARCHER = X25519PrivateKey.generate()
PUBLIC = RESEARCHER.public_key().public_bytes_raw()
FIRST, SECOND = bytes([1] * 32), bytes([2] * 32)
NAMES = ["de-a", "de-b", "fr-a"]
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def shares(value: int) -> list[Words]:
    vector = field.encode(np.array([value, -value]))
    return list(field.share(vector, parties=3, threshold=1, random=LocalRandom().words))


def sealed(session: bytes, value: int) -> list[bytes]:
    return [
        opening.seal_share(share, PUBLIC, session=session, sender=name, index=index)
        for index, (name, share) in enumerate(zip(NAMES, shares(value), strict=True))
    ]


def received(session: bytes, envelopes: list[bytes]) -> list[int]:
    opened = {
        index: opening.unseal_share(
            envelope, RESEARCHER, session=session, sender=NAMES[index], index=index, cells=2
        )
        for index, envelope in enumerate(envelopes)
    }
    return opening.open_result(opened, parties=3, threshold=1).noisy.tolist()


def test_it_works_where_an_envelope_does_not_say_what_it_is_for() -> None:
    envelopes = [
        SUITE.encrypt(field.to_bytes(share), RESEARCHER.public_key()) for share in shares(41)
    ]

    # ... carried as the answer to the second study:
    opened = {
        index: field.from_bytes(SUITE.decrypt(envelope, RESEARCHER), cells=2)
        for index, envelope in enumerate(envelopes)
    }

    assert opening.open_result(opened, parties=3, threshold=1).noisy.tolist() == [41, -41]


def test_shares_open_in_their_own_session() -> None:
    assert received(FIRST, sealed(FIRST, 41)) == [41, -41]


def test_all_shares_of_another_session_do_not_open() -> None:
    with pytest.raises(OpeningError, match="does not open"):
        received(SECOND, sealed(FIRST, 41))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_share_of_another_session_does_not_open(place: int) -> None:
    envelopes = sealed(SECOND, 7)
    envelopes[place] = sealed(FIRST, 41)[place]

    with pytest.raises(OpeningError, match=f"share of {NAMES[place]} does not open"):
        received(SECOND, envelopes)


def test_two_shares_of_one_session_that_change_places_do_not_open() -> None:
    envelopes = sealed(FIRST, 41)
    envelopes[0], envelopes[1] = envelopes[1], envelopes[0]

    with pytest.raises(OpeningError, match="share of de-a does not open"):
        received(FIRST, envelopes)
