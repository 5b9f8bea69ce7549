"""`upcare bench abe`: a key in parts, and headers sealed and opened, with the code of their use.

One story for each library, in a process of its own on one core: a committee makes the network's
key, three of its five members issue an attribute key, and that key opens what was sealed. No
network and no disk. Hashes of attributes are remembered, as in a process that does this often.
"""

import json
import secrets
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import click
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from upcare_mpc.abe.ceremony import Ceremony, Kind, Signed, Transcript
from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.abe.groups import Group, default_group, reference_group
from upcare_mpc.abe.issuance import Fragment, combine, issue, verify_fragment
from upcare_mpc.abe.kem import decapsulate, encapsulate
from upcare_mpc.abe.keys import AttributeKey
from upcare_mpc.abe.policy import MAX_ROWS, parse
from upcare_mpc.abe.request import Request
from upcare_mpc.abe.threshold import conclude, deal_in, report
from upcare_mpc.cli import show
from upcare_mpc.cli.bench.process import apart, peak_mb
from upcare_mpc.errors import InputError, ProtocolError

__all__ = ["abe"]

GROUPS: Mapping[str, Callable[[], Group]] = {"arkworks": default_group, "py_ecc": reference_group}
COMMITTEES: Mapping[str, Sequence[int]] = {"arkworks": (3, 7, 5), "py_ecc": (5,)}  # last: issues
SLOW = 10  # times fewer runs: of ceremonies and tables, and of everything with py_ecc
KEY_ATTRIBUTES = 20
CONTEXT = b"upcare bench abe"

_T = TypeVar("_T")
_Made = tuple[Committee, dict[str, Share], int]


@click.command()
@click.option("--backend", type=click.Choice(list(GROUPS)), help="One library; both without it.")
@click.option("--attributes", type=click.IntRange(1, MAX_ROWS), default=10, show_default=True)
@click.option("--runs", type=click.IntRange(1, 1000), default=30, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def abe(backend: str | None, attributes: int, runs: int, *, as_json: bool) -> None:
    """Make a key in parts; seal and open under a policy of ATTRIBUTES; on one core.

    A ceremony is the work of all its members, one after another. Ceremonies and tables have a tenth
    of the runs, and so has everything with py_ecc.

    Example: upcare bench abe --backend arkworks
    """
    measured = {
        name: apart(_measure, name, attributes, runs)
        for name in ([backend] if backend else list(GROUPS))
    }
    if as_json:
        click.echo(json.dumps(measured))
        return
    for name, figures in measured.items():
        for part, value in figures.items():
            show.out.print(f"{name}: {_line(part, value)}")


def _line(part: str, value: Any) -> str:
    if not isinstance(value, dict):
        return f"{part}, {value}"
    size = f", {value['bytes']} bytes" if "bytes" in value else ""
    return f"{part}, n = {value['n']}, {1000 * value['seconds']['median']:.2f} ms{size}"


def _measure(backend: str, rows: int, runs: int) -> dict[str, Any]:
    """Measure one library."""
    group = GROUPS[backend]()
    if group.backend.name != backend:
        raise InputError(f"--backend: {backend} is not installed")
    bench = _Bench(max(1, runs // SLOW) if backend == "py_ecc" else runs)
    for members in COMMITTEES[backend]:
        committee, shares = bench.ceremony(group, members)
    names = _attributes(max(rows, KEY_ATTRIBUTES))
    bench.seal_and_open(committee, names[:rows], bench.issue(committee, shares, names))
    return bench.figures | {"rss_mb": round(peak_mb(), 1)}


class _Bench:
    """What each part took.

    Attributes:
        figures: By part.
    """

    def __init__(self, runs: int) -> None:
        self.figures: dict[str, Any] = {}
        self._runs = runs
        self._few = max(1, runs // SLOW)

    def ceremony(self, group: Group, members: int) -> tuple[Committee, dict[str, Share]]:
        """Make a key among so many."""
        part = f"ceremony of {members}"
        committee, shares, sent = self._time(
            part, members, partial(_ceremony, group, members), few=True
        )
        # Dealings and sub-shares, reports, confirmations.
        self.figures[part] |= {"bytes": sent, "rounds": 3}
        return committee, shares

    def issue(
        self, committee: Committee, shares: Mapping[str, Share], names: tuple[str, ...]
    ) -> AttributeKey:
        """Issue a key by t + 1 members."""
        n, random = len(names), secrets.token_bytes
        quorum = committee.members[: committee.threshold + 1]
        # Each time another request: its digest is hashed to the curve anew.
        requests = iter([_request(committee, names) for _ in range(self._runs)])
        self._time("fragment", n, lambda: issue(shares[quorum[0]], committee, next(requests)))
        request = _request(committee, names)
        sent = [bytes(issue(shares[name], committee, request)) for name in quorum]
        self.figures["fragment"]["bytes"] = len(sent[0])
        read = partial(Fragment.from_bytes, committee.group)
        self._time("read a fragment", n, partial(read, sent[0]))
        fragments = [read(each) for each in sent]
        for fragment in fragments:
            verify = partial(verify_fragment, committee, request, fragment, random)
            self._time("verify a fragment", n, verify)
        key = self._time(
            f"combine {len(quorum)}", n, partial(combine, committee, request, fragments)
        )
        self.figures[f"combine {len(quorum)}"]["bytes"] = len(bytes(key))
        return key

    def seal_and_open(self, committee: Committee, rows: tuple[str, ...], key: AttributeKey) -> None:
        """Seal under a policy, and open with a key that satisfies it; without tables and with."""
        policy, plain = parse(f"and({','.join(rows)})"), committee.public
        prepared = self._time("tables", len(rows), partial(plain.prepare, rows), few=True)
        for which, public in (("", plain), (" with tables", prepared)):
            seal = partial(encapsulate, public, policy, context=CONTEXT, random=secrets.token_bytes)
            header, wrapping_key = self._time(f"encapsulate{which}", len(rows), seal)
            self.figures[f"encapsulate{which}"]["bytes"] = len(header)
            unseal = partial(decapsulate, public, key, header, context=CONTEXT)
            if self._time(f"decapsulate{which}", len(rows), unseal) != wrapping_key:
                raise ProtocolError("the key opens the header to another wrapping key")

    def _time(self, part: str, n: int, work: Callable[[], _T], *, few: bool = False) -> _T:
        """Do it as often as is to be; return what came out last."""
        seconds, cpu_seconds = [], []
        for _ in range(self._few if few else self._runs):
            began, cpu_began = time.perf_counter(), time.process_time()
            made = work()
            cpu_seconds.append(time.process_time() - cpu_began)
            seconds.append(time.perf_counter() - began)
        self.figures[part] = {
            "n": n,
            "seconds": {
                "min": round(min(seconds), 6),
                "median": round(statistics.median(seconds), 6),
                "runs": len(seconds),
            },
            "cpu_seconds": round(statistics.median(cpu_seconds), 6),
        }
        return made


def _attributes(count: int) -> tuple[str, ...]:
    """Those that every request has, and more of a made-up namespace; ascending."""
    more = (f"use:u{i:02}" for i in range(count - 3))
    return ("epoch:2026-11", "project:bench", "site:de-a", *more)


def _request(committee: Committee, names: tuple[str, ...]) -> Request:
    return Request(
        network=committee.network,
        committee=committee.digest,
        epoch="2026-11",
        project="bench",
        requester="upcare bench abe",
        sealing_key=secrets.token_bytes(32),
        nonce=secrets.token_bytes(32),
        not_after=1,
        attributes=names,
    )


def _ceremony(group: Group, members: int) -> _Made:
    """Make a key: every member reads and checks every message; also the bytes of all, each once."""
    ecdsa = ec.ECDSA(hashes.SHA256())
    names = tuple(f"de-{chr(ord('a') + i)}" for i in range(members))
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in names}
    sent = 0

    def verify(name: str, signed: bytes, signature: bytes) -> None:
        try:
            keys[name].public_key().verify(signature, signed, ecdsa)
        except InvalidSignature:
            raise ProtocolError(f"{name} has not signed this") from None

    def send(sender: str, kind: Kind, body: bytes, recipient: str = "") -> Signed:
        nonlocal sent
        message = bytes(
            Signed.by(
                sender,
                ceremony,
                kind,
                body,
                recipient=recipient,
                sign=lambda to_sign: keys[sender].sign(to_sign, ecdsa),
            )
        )
        sent += len(message)
        if not recipient:
            for transcript in transcripts.values():
                transcript.add(Signed.from_bytes(message))
        return Signed.from_bytes(message)

    ceremony = Ceremony(
        group=group,
        network="bench",
        identifier=secrets.token_bytes(16),
        roster=bytes(32),
        members=names,
        threshold=(members - 1) // 2,
        previous=None,
        dealers=names,
    )
    transcripts = {name: Transcript(ceremony, verify) for name in names}
    sub_shares: dict[str, dict[str, Signed]] = {name: {} for name in names}
    for dealer in names:
        dealing, bodies = deal_in(ceremony, dealer, None, secrets.token_bytes)
        send(dealer, Kind.DEALING, dealing)
        for name, body in bodies.items():
            message = send(dealer, Kind.SUB_SHARE, body, name)
            transcripts[name].check(message)
            sub_shares[name][dealer] = message
    for name in names:
        send(name, Kind.REPORT, report(transcripts[name], name, sub_shares[name]))
    outcomes = {name: conclude(transcripts[name]) for name in names}
    for name in names:
        send(name, Kind.CONFIRMATION, outcomes[name].confirmation)
    for name in names:
        outcomes[name].check_confirmed(transcripts[name])
    shares = {
        name: outcomes[name].share(name, sub_shares[name], secrets.token_bytes) for name in names
    }
    return outcomes[names[0]].committee, shares, sent
