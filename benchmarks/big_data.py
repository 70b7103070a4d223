"""Data larger than memory: written row group by row group, read and measured in a process of its own.

    python -m benchmarks.big_data write big.parquet --rows 1e8 --levels 1e6
    python -m benchmarks.big_data write crossed.parquet --rows 1e8 --levels 1e6 --crossed 1000
    python -m benchmarks.big_data write binary.parquet --rows 1e8 --levels 1e6 --bernoulli
    python -m benchmarks.big_data read big.parquet --engine duckdb

The model is `y ~ x + z + (1 + x | g)`, with `+ (1 | h)` where a second factor crosses the first.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import peak

ROOT = Path(__file__).resolve().parents[1]
ROWS_OF_GROUP = 1_000_000
#: Coefficients of 1, x and z; standard deviations of the effects of g, their correlation, of h, of the rest.
BETA = (1.0, 0.05, -0.3)
SD_INTERCEPT, SD_SLOPE, CORRELATION, SD_CROSSED, SD_RESIDUAL = 0.8, 0.05, 0.3, 0.5, 1.0
#: x is a whole number from 0 to one less than this: rows of a binary model can be counted.
VALUES_OF_X = 10


@dataclass(frozen=True, slots=True)
class BigData:
    """What is written.

    Attributes
    ----------
    rows, levels : int
        Number of rows, and of levels of g.
    crossed : int
        Number of levels of h; 0 leaves h out.
    bernoulli : bool
        Whether y is 0 or 1.
    seed : int
        Seed of the random numbers: the rows do not depend on the row groups before them.
    """

    rows: int
    levels: int
    crossed: int = 0
    bernoulli: bool = False
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call took in a process of its own.

    Attributes
    ----------
    seconds, processor_seconds : float
        Wall clock, and processor time of the process and its children, without the import of the function.
    peak_mb : float
        Peak of the resident memory of the process, imports included.
    value : object
        What the call returned.
    """

    seconds: float
    processor_seconds: float
    peak_mb: float
    value: Any


def write(path: str | Path, data: BigData, rows_of_group: int = ROWS_OF_GROUP) -> None:
    """Write the rows as Parquet, one row group at a time."""
    pa, pq = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    writer = None
    for columns in row_groups(data, rows_of_group):
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd", use_dictionary=["x", "z"])
        writer.write_table(table)
    if writer is not None:
        writer.close()


def row_groups(data: BigData, rows_of_group: int = ROWS_OF_GROUP) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the columns of each row group."""
    rng = np.random.default_rng(data.seed)
    intercepts = SD_INTERCEPT * rng.standard_normal(data.levels)
    own = np.sqrt(1 - CORRELATION**2) * rng.standard_normal(data.levels)
    slopes = SD_SLOPE * (CORRELATION * intercepts / SD_INTERCEPT + own)
    others = SD_CROSSED * rng.standard_normal(data.crossed)
    for k, start in enumerate(range(0, data.rows, rows_of_group)):
        n = min(rows_of_group, data.rows - start)
        group_rng = np.random.default_rng([data.seed, k])
        yield _rows(data, n, group_rng, intercepts, slopes, others)


def _rows(
    data: BigData,
    n: int,
    rng: np.random.Generator,
    intercepts: NDArray[np.float64],
    slopes: NDArray[np.float64],
    others: NDArray[np.float64],
) -> dict[str, NDArray[Any]]:
    """Draw n rows, given the effects of the levels."""
    g = rng.integers(data.levels, size=n, dtype=np.int32)
    x = rng.integers(VALUES_OF_X, size=n, dtype=np.int8)
    z = rng.integers(2, size=n, dtype=np.int8)
    eta = BETA[0] + intercepts[g] + (BETA[1] + slopes[g]) * x + BETA[2] * z
    factors = {"g": g}
    if data.crossed:
        factors["h"] = rng.integers(data.crossed, size=n, dtype=np.int32)
        eta += others[factors["h"]]
    if data.bernoulli:
        y: NDArray[Any] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(np.int8)
    else:
        y = (eta + SD_RESIDUAL * rng.standard_normal(n)).astype(np.float32)
    return {"y": y, "x": x, "z": z, **factors}


def in_child(function: str, *arguments: Any, timeout: float | None = None) -> Cost:
    """Call a function, ``module:name``, in a process of its own, and measure it.

    Arguments and value go through JSON. What the process prints on its error stream is shown where it fails.
    """
    command = [sys.executable, "-m", "benchmarks.big_data", "call", function, json.dumps(arguments)]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{function} failed in its process:\n{done.stderr}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def measured(function: str, arguments: Sequence[Any]) -> Cost:
    """Call a function, ``module:name``, in this process, and measure it."""
    module, _, name = function.partition(":")
    call = getattr(importlib.import_module(module), name)
    before, start = os.times(), time.perf_counter()
    value = call(*arguments)
    wall, after = time.perf_counter() - start, os.times()
    return Cost(wall, sum(after[:4]) - sum(before[:4]), peak(), value)


def read(path: str, engine: str = "arrow", columns: Sequence[str] = ("y", "x", "z", "g")) -> dict[str, Any]:
    """Read the rows in batches, and return how many there are of both, and the sum of the first column."""
    streams = importlib.import_module("mixedmodels.streams.open_source")
    rows, batches, total = 0, 0, 0.0
    for batch in streams.open_source(ENGINES[engine](path)).batches(list(columns)):
        rows += len(batch.frame)
        batches += 1
        total += float(batch.frame[columns[0]].to_numpy().sum(dtype=np.float64))
    return {"rows": rows, "batches": batches, "total": total}


def _module(name: str) -> Any:
    return importlib.import_module(name)


ENGINES: dict[str, Any] = {
    "arrow": str,
    "dataset": lambda path: _module("pyarrow.dataset").dataset(path),
    "duckdb": lambda path: _module("duckdb").read_parquet(path),
    "polars": lambda path: _module("polars").scan_parquet(path),
    "dask": lambda path: _module("dask.dataframe").read_parquet(path, split_row_groups=True),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.big_data", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write", help="write a file")
    writing.add_argument("path")
    for name, kind, default in (("--rows", float, 1e8), ("--levels", float, 1e6), ("--crossed", float, 0)):
        writing.add_argument(name, type=kind, default=default)
    writing.add_argument("--bernoulli", action="store_true")
    reading = commands.add_parser("read", help="read a file in batches, and print what it took")
    reading.add_argument("path")
    reading.add_argument("--engine", choices=list(ENGINES), default="arrow")
    calling = commands.add_parser("call", help="call a function and print what it took, as JSON")
    calling.add_argument("function")
    calling.add_argument("arguments")
    options = parser.parse_args(arguments)
    if options.command == "write":
        sizes = (int(options.rows), int(options.levels), int(options.crossed))
        write(options.path, BigData(*sizes, options.bernoulli))
    elif options.command == "read":
        print(in_child("benchmarks.big_data:read", str(Path(options.path).resolve()), options.engine))
    else:
        print(json.dumps(asdict(measured(options.function, json.loads(options.arguments)))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
