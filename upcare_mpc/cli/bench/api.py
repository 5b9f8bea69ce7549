"""`upcare bench api`: what asking over the public interface takes, on a whole network here."""

import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from upcare_mpc.cli.bench.network import (
    IDLE_S,
    PURPOSE,
    TABLES,
    counts_study,
    made_up_data,
    print_report,
    spread,
)
from upcare_mpc.cli.local.demo import answering_api
from upcare_mpc.cli.local.network import LocalNetwork, LocalPolicy
from upcare_mpc.client.platform import raise_bad_end
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.client.rest import RestPlatform
from upcare_mpc.study.spec import Study

__all__ = ["api"]

CLIENTS = 4
REQUESTS = 80  # at once; a key has 100, and then 10 a second


@click.command()
@click.option(
    "--cells", type=click.Choice([str(n) for n in TABLES]), default="10000", show_default=True
)
@click.option("--runs", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def api(cells: str, runs: int, as_json: bool) -> None:
    """Ask a warm network of five registries here, over its public interface.

    Seconds of a list, a quote, a submission, a result; requests a second of several clients. Every
    request has a connection of its own, with TLS, as our client makes it.

    Example: upcare bench api --cells 10000
    """
    laps: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="upcare-bench-") as folder:
        network = LocalNetwork(
            data=made_up_data(Path(folder)), overlap=1, policy=LocalPolicy(purposes=[PURPOSE])
        )
        with network:
            first = counts_study(int(cells), 0)
            network.wait_until_attending(first)
            url = answering_api(network)
            with RestPlatform(url, network.researcher) as platform:
                _ask(platform, first, defaultdict(list))  # warms every process
                for run in range(runs):
                    time.sleep(IDLE_S)
                    _ask(platform, counts_study(int(cells), run + 1), laps)
            time.sleep(IDLE_S)
            rate = _requests_per_second(url, network.researcher)
    report = {
        "cells": int(cells),
        "registries": 5,
        **{f"{name}_seconds": spread(seconds) for name, seconds in laps.items()},
        "requests_per_second": {"list": round(rate, 1), "clients": CLIENTS, "requests": REQUESTS},
    }
    print_report(report, as_json=as_json)


def _ask(platform: RestPlatform, asked: Study, laps: dict[str, list[float]]) -> None:
    """A list, then one study from its quote to its opened result; what each request took."""

    def lap(name: str, since: float) -> float:
        now = time.perf_counter()
        laps[name].append(now - since)
        return now

    listing = time.perf_counter()
    platform.studies()
    quoting = lap("list", listing)
    platform.preview(asked)
    submitting = lap("quote", quoting)
    platform.submit(asked)
    lap("submit", submitting)
    for event in platform.watch(asked.digest):
        if event.last:
            raise_bad_end(event)
    fetching = time.perf_counter()
    platform.result(asked)
    lap("result", fetching)
    lap("study", submitting)


def _requests_per_second(url: str, researcher: Researcher) -> float:
    """How many lists a second several clients get together."""

    def client(_: int) -> None:
        with RestPlatform(url, researcher) as platform:
            for _request in range(REQUESTS // CLIENTS):
                platform.studies()

    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(client, range(CLIENTS)))
    return REQUESTS / (time.perf_counter() - start)
