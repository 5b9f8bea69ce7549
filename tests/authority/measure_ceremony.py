"""Bytes and seconds of key ceremonies of m registries, with real processes over TLS on loopback.

Run: python tests/authority/measure_ceremony.py [m ...]        (3 5 7 unless told)

``ceremony_s`` is from the last seat to the last confirmation, by the platform's clock. ``seconds``
is from the start of m commands ``upcare authority join`` at once until the last has ended, and
``cpu_s`` the processor time of all m; of both, ``starting_s`` (m times ``upcare authority --help``)
is the start of Python. ``bytes`` are those of all papers, ``public_bytes`` without sub-shares.
"""

import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from upcare_mpc.cli.local.network import LocalNetwork, LocalPolicy
from upcare_mpc.config import DataFiles
from upcare_mpc.link.board import RegistryBoard, ResearcherBoard
from upcare_mpc.link.certificates import Identity

FILE = Path(__file__).parents[2] / "parties" / "de-a" / "data" / "DE-A_oBDS_3.0.4.xml"
UPCARE = (sys.executable, "-m", "upcare_mpc")


def children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*UPCARE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def measure(registries: int) -> dict[str, object]:
    names = [f"de-{chr(97 + number)}" for number in range(registries)]
    with tempfile.TemporaryDirectory() as folder:
        network = LocalNetwork(
            data=dict.fromkeys(names, DataFiles(files=(FILE,))),
            overlap=1,
            policy=LocalPolicy(purposes=["DUO:0000007"]),
            folder=Path(folder) / "network",
        )
        network.folder.mkdir()
        network.found()
        network.start_platform()
        while "researchers at" not in network.log("platform"):
            time.sleep(0.05)
        try:
            found = {}
            for what, more in (("make a key", ()), ("refresh", ("--hand-over",))):
                found[what] = ceremony(network, names, *more)
        finally:
            network.__exit__()
    return {"members": registries, "threshold": (registries - 1) // 2, **found}


def ceremony(network: LocalNetwork, names: list[str], *more: str) -> dict[str, object]:
    threshold = str((len(names) - 1) // 2)
    members = [word for name in names for word in ("--member", name)]
    proposer = ("--party", str(network.party_folder(names[0])))
    asked = run("authority", "propose", "--threshold", threshold, *members, *more, *proposer)
    topic = asked.communicate()[0].strip()
    before, start = children_cpu_s(), time.perf_counter()
    joined = [
        run("authority", "join", topic, "--party", str(network.party_folder(name)))
        for name in names
    ]
    for each in joined:
        each.communicate()
        if each.returncode:
            sys.exit("a registry did not come to the end")
    seconds, cpu = time.perf_counter() - start, children_cpu_s() - before
    identity_folder = network.party_folder(names[0]) / "identity"
    identity = Identity.load(identity_folder, now=datetime.datetime.now(datetime.UTC))
    address = network.researcher.platform
    with ResearcherBoard(address, identity.network, network.researcher.signing) as board:
        public = board.ceremonies()[bytes.fromhex(topic)]
    registries = (network.folder / "de-a" / "party.toml").read_text()
    with RegistryBoard(_address(registries), identity) as all_papers:
        papers = all_papers.read(bytes.fromhex(topic))
    start = time.perf_counter()
    for _ in names:
        subprocess.run([*UPCARE, "authority", "--help"], check=True, stdout=subprocess.DEVNULL)
    starting = time.perf_counter() - start
    last = {
        kind: max(p.time for p in papers if p.kind == kind) for kind in ("seat", "confirmation")
    }
    return {
        "ceremony_s": round(last["confirmation"] - last["seat"], 2),
        "seconds": round(seconds, 2),
        "cpu_s": round(cpu, 2),
        "starting_s": round(starting, 2),
        "papers": len(papers),
        "bytes": sum(len(paper.content) for paper in papers),
        "public_bytes": sum(len(paper.content) for paper in public),
    }


def _address(party_file: str) -> str:
    (line,) = [each for each in party_file.splitlines() if each.startswith("address")]
    return line.split('"')[1]


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    for registries in [int(word) for word in sys.argv[1:]] or [3, 5, 7]:
        sys.stdout.write(f"{json.dumps(measure(registries))}\n")
        sys.stdout.flush()
