"""Work between the data frame and the engine: processor seconds and memory, one process for each row.

    python -m benchmarks.front_rows LABEL [ROW ...]

writes results/front_rows.csv, in which rows of the same label are replaced. One frame is the memory of the
columns that the model reads.
"""

from __future__ import annotations

import csv
import gc
import io
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import description
from benchmarks.measure import peak, reset_peak

RESULTS = Path(__file__).resolve().parent / "results" / "front_rows.csv"
FIELDS = ("label", "machine", "row", "seconds", "peak_mb", "frames", "pickle_frames", "objective")
SEED = 20261128
MILLION = 1_000_000
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A row: formula, the frame it is fitted to, and how often."""

    formula: str
    frame: Callable[[], Any]
    repeats: int = REPEATS


def fifty_levels() -> pd.DataFrame:
    """Return a million rows with a factor of 50 levels, a predictor and 1,000 groups."""
    rng = np.random.default_rng(SEED)
    f, g = rng.integers(50, size=MILLION), rng.integers(1000, size=MILLION)
    x = rng.normal(size=MILLION)
    y = x + f / 50 + rng.normal(size=1000)[g] + rng.normal(size=MILLION)
    return pd.DataFrame({"y": y, "x": x, "f": categorical(f, 50), "g": categorical(g, 1000)})


def thousand_predictors() -> pd.DataFrame:
    """Return 20,000 rows of 999 predictors and 200 groups."""
    rng = np.random.default_rng(SEED)
    X = rng.normal(size=(20_000, 999))
    g = rng.integers(200, size=20_000)
    y = X @ rng.normal(size=999) / 30 + rng.normal(size=200)[g] + rng.normal(size=20_000)
    data = pd.DataFrame(X, columns=[f"x{k}" for k in range(999)])
    return data.assign(y=y, g=categorical(g, 200))


def keys(make: Callable[[np.ndarray[Any, Any]], Any]) -> pd.DataFrame:
    """Return a million rows whose grouping factor of 10,000 levels is stored by `make`."""
    rng = np.random.default_rng(SEED)
    g = rng.integers(10_000, size=MILLION)
    x = rng.normal(size=MILLION)
    y = x + rng.normal(size=10_000)[g] + rng.normal(size=MILLION)
    return pd.DataFrame({"y": y, "x": x, "g": make(g)})


def objects(codes: np.ndarray[Any, Any]) -> Any:
    """Return codes as Python strings, each row its own object."""
    return pd.Series([f"k{code:05d}" for code in codes.tolist()], dtype=object)


def polars_categorical() -> Any:
    """Return the keys as a polars frame with a Categorical."""
    import polars

    frame = polars.from_pandas(keys(lambda codes: objects(codes).to_numpy()))
    return frame.with_columns(polars.col("g").cast(polars.Categorical))


def two_factors() -> pd.DataFrame:
    """Return a million rows with two factors of 100 levels each."""
    rng = np.random.default_rng(SEED)
    f, g = rng.integers(100, size=MILLION), rng.integers(100, size=MILLION)
    y = rng.normal(size=10_000)[f * 100 + g] + rng.normal(size=100)[f] + rng.normal(size=MILLION)
    return pd.DataFrame({"y": y, "f": categorical(f, 100), "g": categorical(g, 100)})


def ten_million() -> pd.DataFrame:
    """Return ten million rows of one factor with 1,000 levels."""
    rng = np.random.default_rng(SEED)
    n = 10 * MILLION
    g, x = rng.integers(1000, size=n), rng.normal(size=n)
    return pd.DataFrame(
        {"y": x + rng.normal(size=1000)[g] + rng.normal(size=n), "x": x, "g": categorical(g, 1000)}
    )


def categorical(codes: np.ndarray[Any, Any], count: int) -> pd.Categorical:
    """Return codes as a categorical whose levels are words."""
    return pd.Categorical.from_codes(codes, [f"l{k:04d}" for k in range(count)])


ROWS = {
    "f50": Row("y ~ x + f + (1 | g)", fifty_levels, 3),
    "x:f50": Row("y ~ x * f + (1 | g)", fifty_levels, 3),
    "without f50": Row("y ~ x + (1 | g)", fifty_levels),
    "p=1000": Row("y ~ " + " + ".join(f"x{k}" for k in range(999)) + " + (1 | g)", thousand_predictors, 3),
    "category keys": Row("y ~ x + (1 | g)", lambda: keys(lambda codes: categorical(codes, 10_000))),
    "integer keys": Row("y ~ x + (1 | g)", lambda: keys(lambda codes: codes)),
    "string keys": Row("y ~ x + (1 | g)", lambda: keys(objects)),
    "pandas str keys": Row("y ~ x + (1 | g)", lambda: keys(lambda codes: objects(codes).astype("str"))),
    "polars Categorical": Row("y ~ x + (1 | g)", polars_categorical),
    "f:g": Row("y ~ 1 + (1 | f:g)", two_factors),
    "f/g": Row("y ~ 1 + (1 | f/g)", two_factors),
    "ten million": Row("y ~ x + (1 | g)", ten_million, 1),
}  # fmt: skip


def measure(name: str) -> dict[str, Any]:
    """Fit one row in this process."""
    from mixedmodels import lmer

    row = ROWS[name]
    data = row.frame()
    lmer(
        "Reaction ~ Days + (Days | Subject)",
        pd.read_csv(Path(__file__).parents[1] / "datasets/sleepstudy.csv"),
    )
    gc.collect()
    before, seconds, model = reset_peak(), [], None
    peak_mb = 0.0
    for k in range(row.repeats + 1):
        model = None
        start = time.process_time()
        model = lmer(row.formula, data)
        seconds.append(time.process_time() - start)
        if k == 0:
            peak_mb = peak() - before
    frame_mb = memory(data) / 2**20
    return {
        "row": name, "seconds": f"{median(seconds[1:] or seconds):.4g}", "peak_mb": f"{peak_mb:.4g}",
        "frames": f"{peak_mb / frame_mb:.3g}", "objective": repr(float(model.estimates.solution.objective)),
        "pickle_frames": pickled(model, frame_mb),
    }  # fmt: skip


def memory(data: Any) -> float:
    """Return the bytes of the columns of a table."""
    return float(
        data.memory_usage(index=False).sum() if isinstance(data, pd.DataFrame) else data.estimated_size()
    )


class Counter(io.RawIOBase):
    """A file that counts what is written to it."""

    written = 0

    def writable(self) -> bool:
        """Tell that bytes may be written."""
        return True

    def write(self, piece: Any) -> int:
        """Count bytes."""
        size = memoryview(piece).nbytes
        self.written += size
        return size


def pickled(model: Any, frame_mb: float) -> str:
    """Return the size of a pickled model, in frames; the error of one that cannot be pickled."""
    counter = Counter()
    try:
        pickle.dump(model, counter, protocol=5)
    except RecursionError as error:
        return type(error).__name__
    return f"{counter.written / 2**20 / frame_mb:.3g}"


# Compiled files go into a folder of their own, so that the second process and all later ones find them.
FRESH = """
import time, numpy, scipy, pandas, scipy.linalg, scipy.sparse, scipy.special
data = pandas.read_csv("datasets/sleepstudy.csv")
start = time.process_time()
from mixedmodels import lmer
lmer("Reaction ~ Days + (Days | Subject)", data)
print(time.process_time() - start)
"""


def fresh() -> dict[str, Any]:
    """Time the first call in fresh processes, compiled files in place."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        environment["PYTHONPYCACHEPREFIX"] = folder
        for _ in range(11):
            done = subprocess.run(
                [sys.executable, "-c", FRESH], check=True, capture_output=True, text=True, env=environment
            )
            found.append(float(done.stdout))
    return {"row": "first call", "seconds": f"{median(found[1:]):.4g}"}


def sleepstudy() -> dict[str, Any]:
    """Time the whole call on sleepstudy."""
    from mixedmodels import lmer

    data = pd.read_csv(Path(__file__).parents[1] / "datasets/sleepstudy.csv")
    seconds = []
    for _ in range(300):
        start = time.process_time()
        model = lmer("Reaction ~ Days + (Days | Subject)", data)
        seconds.append(time.process_time() - start)
    return {
        "row": "sleepstudy",
        "seconds": f"{median(seconds):.4g}",
        "objective": repr(float(model.estimates.solution.objective)),
    }


def main(arguments: list[str]) -> None:
    """Measure the rows named, each in a process of its own, and merge them into the results."""
    if arguments[0] == "--one":
        own = {"first call": fresh, "sleepstudy": sleepstudy}
        found = own[arguments[1]]() if arguments[1] in own else measure(arguments[1])
        csv.DictWriter(sys.stdout, FIELDS).writerow(found)
        return
    label, *names = arguments
    for name in names or ["first call", "sleepstudy", *ROWS]:
        command = [sys.executable, "-m", "benchmarks.front_rows", "--one", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = next(csv.DictReader(io.StringIO(done), FIELDS))
        merge({**found, "label": label, "machine": description()})
        print(label, *(f"{key}={value}" for key, value in found.items() if value), flush=True)


def merge(found: dict[str, Any]) -> None:
    """Replace or append one record."""
    kept = []
    if RESULTS.exists():
        with RESULTS.open(encoding="utf-8", newline="") as file:
            kept = list(csv.DictReader(file))
    kept = [k for k in kept if (k["label"], k["row"]) != (found["label"], found["row"])] + [found]
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)


if __name__ == "__main__":
    main(sys.argv[1:])
