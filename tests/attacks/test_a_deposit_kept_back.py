"""Story: the platform takes a deposit, signs for it, and leaves it out.

It could also take none, or give no receipt; then nobody can prove anything, and the depositor knows
that nothing was taken. But once it has signed a receipt, what it hands to the holders is under
their signatures: how many deposits there are, and the digest of their list. A receipt for a place
that the list does not have, or where another deposit is, convicts the platform, before anybody who
has its certificate, the holders' findings and, for the second case, the digests of the list. The
holders have these, and the payload of nobody is needed for it.

An honest platform cannot be framed: that is tried, too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from depositing_world import HOLDERS, World
from served_platform import ServedPlatform
from sqlalchemy import delete, update

from upcare_mpc.deposits.findings import Findings, freeze, list_digest
from upcare_mpc.deposits.receipt import Receipt
from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.certificates import verify_signature
from upcare_mpc.link.signers import verifier
from upcare_mpc.storage.schema import DEPOSITS


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ServedPlatform(tmp_path) as served:
        yield World(served)


def findings_of_all(world: World) -> tuple[list[Findings], list[bytes]]:
    """The holders fetch what the platform hands out, and sign which list it is."""
    collection = world.collection
    world.platform.deposits.close(collection.digest)
    count, _ = world.platform.deposits.listing(collection.digest)
    signed, digests = [], []
    for name in HOLDERS:
        digests = [sha256(encoded).digest() for encoded in world.fetched(name, count=count)]
        findings = Findings(
            collection=collection.digest,
            count=len(digests),
            deposits=list_digest(collection.digest, digests),
            present=HOLDERS,
            holder=name,
            certificate=world.identity(name).certificate_pem,
            refused={},
        )
        signed.append(findings.signed(world.identity(name).sign))
    return signed, digests


def convicts(
    receipt: Receipt, findings: Sequence[Findings], digests: Sequence[bytes], world: World
) -> bool:
    """Whether this shows that the platform signed for a deposit and left it out.

    Raises:
        ProtocolError: It shows nothing: a signature does not hold, or the papers do not match.
    """
    collection = world.collection
    with world.depositor() as depositor:
        platform = depositor.describe(collection.digest).platform
    verify_signature(
        x509.load_pem_x509_certificate(platform.encode()), receipt.statement(), receipt.signature
    )
    certificates = {name: world.identity(name).certificate_pem.decode() for name in HOLDERS}
    frozen = freeze(collection, findings, verifier(certificates))
    if receipt.collection != collection.digest:
        raise ProtocolError("the receipt is of another collection")
    if receipt.place >= frozen.count:
        return True
    if list_digest(collection.digest, digests) != frozen.deposits:
        raise ProtocolError("the digests are not those that the holders have signed")
    return digests[receipt.place] != receipt.deposit


def test_the_last_one_is_cut_off(world: World) -> None:
    receipts = [world.bring(world.answers()) for _ in range(3)]
    with world.platform.deposits._database.write() as connection:
        connection.execute(delete(DEPOSITS).where(DEPOSITS.c.place == 2))

    findings, digests = findings_of_all(world)

    assert [convicts(receipt, findings, digests, world) for receipt in receipts] == [
        False,
        False,
        True,
    ]
    assert convicts(receipts[2], findings, [], world)  # without the list


def test_one_is_exchanged_for_another(world: World) -> None:
    receipts = [world.bring(world.answers()) for _ in range(2)]
    own = world.answers()
    (world.folder / "0").write_bytes(own)
    with world.platform.deposits._database.write() as connection:
        connection.execute(
            update(DEPOSITS).where(DEPOSITS.c.place == 0).values(digest=sha256(own).digest())
        )

    findings, digests = findings_of_all(world)

    assert [convicts(receipt, findings, digests, world) for receipt in receipts] == [True, False]


def test_an_honest_platform_is_not_framed(world: World) -> None:
    receipt = world.bring(world.answers())
    other = world.opened()
    elsewhere = world.bring(world.answers(other), other)
    findings, digests = findings_of_all(world)
    assert not convicts(receipt, findings, digests, world)

    forged = replace(receipt, place=7)
    changed = replace(receipt, deposit=bytes(32))
    own = replace(receipt, place=7).signed(world.identity("de-a").sign)
    for framed in (forged, changed, own, elsewhere):
        with pytest.raises(ProtocolError):
            convicts(framed, findings, digests, world)
    with pytest.raises(ProtocolError, match="digests are not those"):
        convicts(receipt, findings, [bytes(32)], world)
    with pytest.raises(ProtocolError, match="named party's"):
        convicts(receipt, [replace(f, count=0) for f in findings], digests, world)
