"""Which deposits a holder refuses, and why; and the process that finds out."""

import asyncio
import datetime
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from collected import Dealt, Patient, collection_of, dealt

from upcare_mpc.cli.network import admit_party, found_network
from upcare_mpc.deposits.submission import Deposit
from upcare_mpc.errors import SessionError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.node import checking
from upcare_mpc.node.checking import Checked, Checks, check_deposits, checked_apart

HOLDERS = ("de-a", "de-b", "de-c")
DAY_S = 24 * 3600


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    folder = tmp_path_factory.mktemp("network")
    found_network(folder / "net", name="test", overlap=1, committee=3)
    found = {}
    for name in (*HOLDERS, "fr-a", "fr-b"):
        admit_party(folder / "net", name, role="registry", out=folder / name)
        found[name] = Identity.load(folder / name, now=datetime.datetime.now(datetime.UTC))
    return found


@pytest.fixture(scope="module")
def keys(identities: dict[str, Identity]) -> dict[str, Dealt]:
    holders = [identities[name] for name in HOLDERS]
    return {
        envelope: dealt(collection_of(holders, envelope=envelope))
        for envelope in ("rlwe", "sealed")
    }


def checks(
    key: Dealt,
    identity: Identity,
    folder: Path,
    deposits: Sequence[Deposit | bytes],
    *,
    holder: int = 0,
    places: Sequence[int] | None = None,
) -> Checks:
    """Lay deposits into a folder, to be checked by one holder."""
    folder.mkdir(exist_ok=True)
    for place, deposit in enumerate(deposits):
        encoded = deposit if isinstance(deposit, bytes) else deposit.to_bytes()
        (folder / str(place)).write_bytes(encoded)
    sealed = key.collection.envelope == "sealed"
    return Checks(
        collection=key.collection,
        public=key.public,
        sealing=key.sealing[holder].private_bytes_raw() if sealed else b"",
        holder=holder,
        network=identity.network.ca_pem,
        folder=folder,
        count=len(deposits),
        places=tuple(range(len(deposits)) if places is None else places),
    )


def broken(payload: bytes) -> bytes:
    """The last byte of it, which is of the last proof or share, is another one."""
    return payload[:-1] + bytes([payload[-1] ^ 1])


@pytest.fixture(params=["rlwe", "sealed"])
def key(request: pytest.FixtureRequest, keys: dict[str, Dealt]) -> Dealt:
    return keys[request.param]


def test_sound_deposits_are_not_refused_and_tables_have_their_registry_s_name(
    key: Dealt, identities: dict[str, Identity], tmp_path: Path
) -> None:
    deposits = [
        key.answers(identities["de-a"], 1, 0, 0, 0, 1, 0),
        key.table(identities["fr-a"], 10, 20, 30, 40, 50, 60),
        key.answers(identities["de-a"]),
    ]
    for holder in range(3):
        job = checks(key, identities["de-a"], tmp_path, deposits, holder=holder)
        assert check_deposits(job) == Checked(refused={}, registries={1: "fr-a"})


def faults(key: Dealt, identities: dict[str, Identity]) -> dict[str, list[Deposit | bytes]]:
    """By reason, what is refused for it."""
    a, fr_a, fr_b = (identities[name] for name in ("de-a", "fr-a", "fr-b"))
    other = replace(key, collection=replace(key.collection, nonce=b"o" * 16))
    patient, sound = Patient(), key.answers(a)
    return {
        "form": [b"", b"\0" * 1000, sound.to_bytes()[:-1], sound.to_bytes() + b"\0"],
        "submitter": [
            key.table(fr_b),  # deposits nothing here
            key.answers(fr_a),  # does not vouch here
            replace(sound, signature=fr_a.sign(b"something else")),
            replace(sound, nonce=b"n" * 16),  # signed by her, but not with this nonce
            replace(key.table(fr_a), certificate=a.certificate_pem),
            other.answers(a),
        ],
        "repeated": [key.answers(a, patient=patient), key.answers(a, patient=patient)],
        "proof": [
            key.answers(a, payload=b"UDR1"),
            key.answers(a, payload=b""),
            key.table(fr_a, payload=key.answers(a).payload[:-1]),
        ],
    }


@pytest.mark.parametrize("reason", ["form", "submitter", "repeated", "proof"])
def test_every_fault_has_its_reason_and_those_beside_it_live(
    key: Dealt, identities: dict[str, Identity], tmp_path: Path, reason: str
) -> None:
    bad = faults(key, identities)[reason]
    deposits = [key.answers(identities["de-a"]), *bad, key.table(identities["fr-a"])]
    if reason == "proof":  # fr-a has another one among the bad ones, which counts as its deposit
        deposits = deposits[:-1]

    found = check_deposits(checks(key, identities["de-a"], tmp_path, deposits))

    places = range(1, len(bad) + 1)
    first = 1 if reason == "repeated" else 0  # of two the first one enters
    assert found.refused == dict.fromkeys(list(places)[first:], reason)


def test_an_rlwe_deposit_whose_proof_is_of_something_else_is_refused(
    keys: dict[str, Dealt], identities: dict[str, Identity], tmp_path: Path
) -> None:
    """Also if the payload was somebody's sound one, now sent by somebody else."""
    key, a = keys["rlwe"], identities["de-a"]
    deposits = [
        key.answers(a, payload=broken(key.answers(a).payload)),
        key.answers(a, payload=key.answers(a).payload),
    ]

    found = check_deposits(checks(key, a, tmp_path, deposits))

    assert found.refused == {0: "proof", 1: "proof"}


def test_what_somebody_sends_in_the_name_of_another_does_not_stand_in_her_way(
    key: Dealt, identities: dict[str, Identity], tmp_path: Path
) -> None:
    """Whoever checks the second must see through the first, though it is not his to check."""
    fr_a, a, patient = identities["fr-a"], identities["de-a"], Patient()
    deposits = [
        replace(key.table(fr_a), signature=a.sign(b"")),
        replace(key.answers(a, patient=patient), nonce=b"n" * 16),
        key.table(fr_a),
        key.answers(a, patient=patient),
    ]

    found = check_deposits(checks(key, a, tmp_path, deposits, places=[2, 3]))

    assert found == Checked(refused={}, registries={2: "fr-a"})


def test_what_a_holder_does_not_check_it_does_not_speak_of(
    key: Dealt, identities: dict[str, Identity], tmp_path: Path
) -> None:
    deposits: list[Deposit | bytes] = [b"", key.table(identities["fr-b"])]
    deposits += [key.table(identities["fr-a"]), key.table(identities["fr-a"])]
    job = checks(key, identities["de-a"], tmp_path, deposits, places=[3])

    assert check_deposits(job) == Checked(refused={3: "repeated"}, registries={})


def test_a_share_that_does_not_open_is_told_by_whom_it_is_sealed_to(
    keys: dict[str, Dealt], identities: dict[str, Identity], tmp_path: Path
) -> None:
    """The last share is de-c's: nobody else can tell that it is broken."""
    key, a = keys["sealed"], identities["de-a"]
    sound, spoilt = Patient(), Patient()
    deposits = [key.answers(a, patient=sound), key.answers(a, patient=spoilt)]
    payload = broken(deposits[1].payload)
    deposits[1] = replace(deposits[1], payload=payload).signed(spoilt.sign)

    found = [
        check_deposits(checks(key, a, tmp_path, deposits, holder=holder, places=places))
        for holder, places in ((0, (0, 1)), (1, (0, 1)), (2, (0, 1)), (2, ()))
    ]

    assert [one.refused for one in found] == [{}, {}, {1: "share"}, {1: "share"}]


@pytest.mark.parametrize(
    ("opened", "closes", "refused"),
    [
        (-10, 1, {}),  # has come into force since
        (1, 10, {}),
        (390, 410, {}),  # ends meanwhile
        (-20, -10, {0: "submitter"}),
        (398, 410, {0: "submitter"}),
    ],
)
def test_a_certificate_counts_that_was_in_force_at_the_beginning_or_is_at_the_end(
    identities: dict[str, Identity],
    tmp_path: Path,
    opened: int,
    closes: int,
    refused: dict[int, str],
) -> None:
    """So a renewal while deposits are taken spoils none, and no holder's clock decides.

    The certificates here came into force some minutes ago and end in 397 days.
    """
    now = int(datetime.datetime.now(datetime.UTC).timestamp())
    moments = {"opened": now + opened * DAY_S, "closes": now + closes * DAY_S}
    holders = [identities[name] for name in HOLDERS]
    key = dealt(collection_of(holders, envelope="sealed", **moments))

    job = checks(key, holders[0], tmp_path, [key.answers(holders[0])])

    assert check_deposits(job).refused == refused


# -- the process --------------------------------------------------------------------------------


def test_the_process_finds_what_is_found_here(
    key: Dealt, identities: dict[str, Identity], tmp_path: Path
) -> None:
    a = identities["de-a"]
    deposits: list[Deposit | bytes] = [b"", key.answers(a), key.table(identities["fr-a"])]
    job = checks(key, a, tmp_path, deposits)

    assert asyncio.run(checked_apart(job)) == check_deposits(job)


def test_a_process_that_fails_is_one_line(
    keys: dict[str, Dealt], identities: dict[str, Identity], tmp_path: Path
) -> None:
    job = checks(keys["rlwe"], identities["de-a"], tmp_path, [b""])
    gone = replace(job, count=2)  # there is no second file

    with pytest.raises(SessionError, match="ended without an answer"):
        asyncio.run(checked_apart(gone))


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.subprocess.Process]:
    """Those that were started."""
    started: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def noted(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        started.append(await start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    return started


def never_ending(job: Checks, tmp_path: Path) -> Checks:
    """A job whose first deposit is a pipe that nobody writes to."""
    (tmp_path / "0").unlink()
    os.mkfifo(tmp_path / "0")
    return job


def test_a_process_that_takes_too_long_is_ended(
    keys: dict[str, Dealt],
    identities: dict[str, Identity],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    processes: list[asyncio.subprocess.Process],
) -> None:
    monkeypatch.setattr(checking, "CHECK_S", 0.2)
    job = checks(keys["rlwe"], identities["de-a"], tmp_path, [b""])

    with pytest.raises(SessionError, match="were not checked in"):
        asyncio.run(checked_apart(never_ending(job, tmp_path)))

    assert processes[0].returncode == -signal.SIGKILL


def test_who_does_not_want_the_answer_any_more_ends_the_process(
    keys: dict[str, Dealt],
    identities: dict[str, Identity],
    tmp_path: Path,
    processes: list[asyncio.subprocess.Process],
) -> None:
    job = never_ending(checks(keys["rlwe"], identities["de-a"], tmp_path, [b""]), tmp_path)

    async def changed_mind() -> None:
        asked = asyncio.ensure_future(checked_apart(job))
        await asyncio.wait([asked], timeout=1.0)
        asked.cancel()
        await asyncio.wait([asked])

    asyncio.run(changed_mind())

    assert processes[0].returncode == -signal.SIGKILL


def test_the_process_ends_with_the_node_that_started_it(
    keys: dict[str, Dealt], identities: dict[str, Identity], tmp_path: Path
) -> None:
    """A node that is killed cannot end it: the end of its standard input does."""
    job = never_ending(checks(keys["rlwe"], identities["de-a"], tmp_path, [b""]), tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "upcare_mpc.node.checking"], stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(job.to_json())
    process.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.0)

    process.stdin.close()

    assert process.wait(20) == 3


def test_no_secret_is_in_what_is_printed_of_a_job(
    keys: dict[str, Dealt], identities: dict[str, Identity], tmp_path: Path
) -> None:
    job = checks(keys["sealed"], identities["de-a"], tmp_path, [])
    again = Checks.from_json(job.to_json())
    assert again == job
    assert job.sealing.hex() not in repr(job)
    assert repr(job.sealing) not in repr(job)
