#!/usr/bin/env python3
"""Count one table of 25,200 cells in a snapshot, and in warehouses with the same rows.

    measure_warehouse.py ROWS.parquet

The rows are those of a snapshot. 35 site groups x 2 sexes x 18 ages x 20 years, of first tumours.
PostgreSQL is one of this program's own, with the settings it comes with. Spark takes part if it is
installed. Prints a line of JSON for each, with the seconds of three counts; those of warehouses
hold the writing of the query, of which ``write_s`` says how long it took.
"""

import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import psycopg
from postgres import postgres

from upcare_mpc.cli.bench.ingest import STUDY
from upcare_mpc.kinds.question import work_out
from upcare_mpc.storage.snapshot_engine import ALL_PATIENTS, Engine
from upcare_mpc.storage.warehouse import Warehouse
from upcare_mpc.study.spec import parse

KIND = work_out(parse(STUDY, name="study"), network_overlap=1).kind
QUESTION = KIND.measures(), KIND.layout()


def main() -> None:
    rows, folder = Path(sys.argv[1]), Path(tempfile.mkdtemp())
    began = time.perf_counter()
    from upcare_mpc.storage.warehouse_query import count_query
    from upcare_mpc.storage.warehouse_variables import STORED

    report({"load_ibis_s": seconds_since(began)})
    engine = Engine(rows, folder / "spill")
    expected = engine.tabulate(*QUESTION, ALL_PATIENTS)
    show("snapshot", lambda: engine.tabulate(*QUESTION, ALL_PATIENTS), expected)
    engine.close()

    named = {name: f'"{name}"' for name in STORED}
    named |= {"patient": "patient::VARCHAR", "tumour": "turn::VARCHAR"}
    columns = ", ".join(f'{text} AS "{name}"' for name, text in named.items())
    table = f"SELECT {columns} FROM read_parquet('{rows}')"
    for dialect in ("duckdb", "postgres"):
        began = time.perf_counter()
        query = count_query(*QUESTION, dialect=dialect, source=table)
        report({"dialect": dialect, "write_s": seconds_since(began)})
    with duckdb.connect(config={"memory_limit": "192MiB", "temp_directory": str(folder)}) as duck:
        query = count_query(*QUESTION, dialect="duckdb", source=table)
        show("ibis on duckdb", lambda: vector(duck.execute(query).fetchnumpy()), expected)
        duck.execute(f"COPY ({table}) TO '{folder}/rows.csv' (HEADER false)")
        duck.execute(f"COPY ({table}) TO '{folder}/rows.parquet'")

    with postgres() as (url, _):
        types = {"int64": "integer", "string": "text"}
        named = {name: f'"{name}" {types[type_]}' for name, type_ in STORED.items()}
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLE cases ({', '.join(named.values())})")
            copying = connection.cursor().copy("COPY cases FROM STDIN (FORMAT csv)")
            with copying as copy, (folder / "rows.csv").open("rb") as file:
                while block := file.read(2**20):
                    copy.write(block)
            connection.execute("VACUUM ANALYZE cases")
        warehouse = Warehouse(url, "cases")
        show("postgres", lambda: warehouse.tabulate(*QUESTION), expected)

    if importlib.util.find_spec("pyspark"):
        from pyspark.sql import SparkSession

        session = SparkSession.builder.master("local[2]").getOrCreate()
        session.read.parquet(f"{folder}/rows.parquet").createOrReplaceTempView("cases")
        warehouse = Warehouse("local[2]", "cases")
        show("spark", lambda: warehouse.tabulate(*QUESTION), expected)
        warehouse.close()


def show(
    name: str, count: Callable[[], npt.NDArray[np.int64]], expected: npt.NDArray[np.int64]
) -> None:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        counted = count()
        times.append(seconds_since(began))
        assert (counted == expected).all()
    report({"engine": name, "cells": len(expected), "count_s": times})


def vector(found: dict[str, npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    cells = np.zeros(QUESTION[1].cells, np.int64)
    cells[found["cell"]] = found["amount"]
    return cells


def report(measured: dict[str, object]) -> None:
    print(json.dumps(measured), flush=True)  # noqa: T201  it is a command


def seconds_since(began: float) -> float:
    return round(time.perf_counter() - began, 2)


if __name__ == "__main__":
    main()
