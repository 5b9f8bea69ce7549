"""Vectors for whoever makes a patient's deposit in another language.

    python tests/web/browser_vectors.py      makes them anew, with new certificates

Randomness is as in ``tests/vectors/he.json``. The patient's signature is not made but given, as it
is drawn at random; here are vectors of its encoding instead.
"""

import base64
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS / folder) for folder in ("client", "he")]

import numpy as np  # noqa: E402
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature  # noqa: E402
from gathering import study_text  # noqa: E402
from joint import stream  # noqa: E402

from upcare_mpc.client.deposit_files import point_of  # noqa: E402
from upcare_mpc.deposits.collection import Collection, Holder  # noqa: E402
from upcare_mpc.deposits.envelopes import wrap  # noqa: E402
from upcare_mpc.deposits.key import CollectionKey, HolderKey, seed_of  # noqa: E402
from upcare_mpc.deposits.submission import NONCE_BYTES, Deposit, Ticket  # noqa: E402
from upcare_mpc.he.sampling import expand  # noqa: E402
from upcare_mpc.he.scheme import PublicKey  # noqa: E402
from upcare_mpc.link.certificates import Authority, Identity, Network, new_authority  # noqa: E402
from upcare_mpc.study.spec import Study, parse  # noqa: E402

VECTORS = TESTS / "vectors" / "browser_deposit.json"
HOLDERS = ("de-a", "de-b", "de-c")
ABOUT = (
    "A patient's deposit with envelope rlwe, as docs/deposits/formats.md writes it. Octets are "
    "base64, digests and seeds hexadecimal. b of the joint key is expanded from b_seed, so nobody "
    "has its secret; `described` has the key's seed, and its holders have signed the whole key. "
    "Randomness is the bytes of SHAKE256('upcare/v1/vectors|' + random), taken in order: 16 "
    "octets of the nonce, then as in he.json. The patient's signature is given. Certificates are "
    "checked at `now`, milliseconds since 1970. signatures: r and s, 32 octets each, and their "
    "DER. refused: changes of `described` with which the collection has to be refused."
)


def based(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def made() -> dict[str, Any]:
    """Make everything; certificates, signatures and the patient's key are drawn anew."""
    now = datetime.now(UTC).replace(microsecond=0)
    authority, stranger = new_authority("test", now=now), new_authority("test", now=now)
    network = Network(authority.certificate_pem)

    def admitted(by: Any, name: str, role: Any = "registry") -> Identity:
        pem, key = by.admit(name, role, now=now)
        trusted = Network(by.certificate_pem)
        party, _ = trusted.verify(pem.decode(), now=now)
        return Identity(party=party, network=trusted, certificate_pem=pem, key_pem=key)

    holders = [admitted(authority, name) for name in HOLDERS]
    study = parse(
        study_text(registries=(), patients=True)
        + '[questionnaire]\ncross = [["Smoked?", "Health?"]]\n',
        name="study.toml",
    )
    collection = collection_of(network, study, holders, now)
    b_seed = sha256(b"seed of b").digest()
    public = PublicKey(seed_of(collection), tuple(expand(b_seed)))
    described = describe(authority, study, collection, holders, public.b)
    patient = ec.generate_private_key(ec.SECP256R1())
    ticket = Ticket(collection=collection.digest, registry="de-a", key=point_of(patient))
    ticket = ticket.signed(holders[0].sign)
    random = stream("browser")
    vector = np.zeros(11, np.int64)
    vector[[2, 3, 5 + 2 * 2]] = 1  # today; poor; today and poor
    deposit = Deposit(
        collection=collection.digest,
        role="patient",
        submitter=ticket.key,
        ticket=ticket.to_bytes(),
        certificate=holders[0].certificate_pem,
        nonce=random(NONCE_BYTES),
        payload=b"",
    )
    key = CollectionKey(public=public, sealing=())
    context = deposit.context
    payload = wrap(vector, collection, key, context=context, random=random)
    deposit = replace(deposit, payload=payload)
    deposit = deposit.signed(lambda said: patient.sign(said, ec.ECDSA(hashes.SHA256())))

    first, *others = described["holders"]
    later = now + timedelta(days=398)

    def instead(of_first: Identity) -> dict[str, Any]:
        """All as it should be, but for the certificate of the first holder."""
        posing = [of_first, *holders[1:]]
        other = collection_of(network, study, posing, now)
        return describe(authority, study, other, posing, public.b)

    refused = [
        {"what": "a holder is missing", "set": {"holders": others}},
        {"what": "two holders change places", "set": {"holders": [others[0], first, others[1]]}},
        {
            "what": "a signature of another holder",
            "set": {"holders": [first | {"signature": others[0]["signature"]}, *others]},
        },
        {
            "what": "another sealing key than was signed",
            "set": {"holders": [first | {"sealing": based(bytes(32))}, *others]},
        },
        {"what": "a certificate of another network", "set": instead(admitted(stranger, "de-a"))},
        {
            "what": "a certificate of the platform",
            "set": instead(admitted(authority, "de-a", "platform")),
        },
        {"what": "a certificate of another registry", "set": instead(admitted(authority, "fr-a"))},
        {"what": "another network", "set": {"ca": stranger.certificate_pem.decode("ascii")}},
        {"what": "certificates have ended", "set": {}, "now": _ms(later)},
        {"what": "certificates have not begun", "set": {}, "now": _ms(now - timedelta(hours=1))},
        {
            "what": "another study",
            "set": {"study": based(study.canonical().replace(b"Gathered", b"Changed!"))},
        },
        {
            "what": "another collection",
            "set": {"collection": based(replace(collection, nonce=bytes(16)).canonical())},
        },
        {"what": "another seed of the joint key", "set": {"seed": bytes(32).hex()}},
        {"what": "another b of the joint key", "set": {}, "b_seed": sha256(b"other").hexdigest()},
    ]
    return {
        "about": ABOUT,
        "version": 1,
        "now": _ms(now),
        "b_seed": b_seed.hex(),
        "described": described,
        "collection_digest": collection.digest.hex(),
        "key_sha256": sha256(public.to_bytes()).hexdigest(),
        "chosen": [2, 0],
        "vector": vector.tolist(),
        "random": "browser",
        "point": based(ticket.key),
        "ticket": based(ticket.to_bytes()),
        "certificate": holders[0].certificate_pem.decode("ascii"),
        "context": context.hex(),
        "payload_sha256": sha256(payload).hexdigest(),
        "statement": based(deposit.statement()),
        "signature": based(deposit.signature),
        "deposit_sha256": deposit.digest.hex(),
        "signatures": signatures(),
        "refused": refused,
    }


def collection_of(
    network: Network, study: Study, holders: list[Identity], now: datetime
) -> Collection:
    """The collection; holders are named as in `HOLDERS`, whatever their certificates say."""
    return Collection(
        network=network.fingerprint,
        study=study.digest,
        signing_key=b"\7" * 32,
        cells=3 + 2 + 6,
        envelope="rlwe",
        holders=tuple(
            Holder(name=name, certificate=one.party.fingerprint)
            for name, one in zip(HOLDERS, holders, strict=True)
        ),
        threshold=1,
        depositors=(),
        vouchers=HOLDERS,
        opened=int(now.timestamp()),
        closes=int(now.timestamp()) + 3600,
        nonce=bytes(range(16)),
    )


def describe(
    authority: Authority,
    study: Study,
    collection: Collection,
    holders: list[Identity],
    b: tuple[int, ...],
) -> dict[str, Any]:
    """What the page gives to the script, with the seed of the joint key instead of the key."""
    public = PublicKey(seed_of(collection), b).to_bytes()
    given = []
    for name, one in zip(HOLDERS, holders, strict=True):
        sealing = sha256(name.encode()).digest()
        key = HolderKey(collection=collection.digest, holder=name, public=public, sealing=sealing)
        given.append(
            {
                "certificate": one.certificate_pem.decode("ascii"),
                "sealing": based(sealing),
                "signature": based(key.signed(one.sign).signature),
            }
        )
    return {
        "collection": based(collection.canonical()),
        "study": based(study.canonical()),
        "ca": authority.certificate_pem.decode("ascii"),
        "seed": seed_of(collection).hex(),
        "holders": given,
    }


def signatures() -> list[dict[str, str]]:
    """r and s with high bits, leading zeros, and few digits."""
    pairs = [
        (1, 2),
        (127, 128),
        (1 << 255, 1 << 254),
        ((1 << 248) - 1, 1 << 247),
        ((1 << 256) - 1, 255),
        (1 << 8, (1 << 240) + 7),
    ]
    return [
        {"raw": (r.to_bytes(32) + s.to_bytes(32)).hex(), "der": encode_dss_signature(r, s).hex()}
        for r, s in pairs
    ]


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(made(), indent=1) + "\n", "ascii")
