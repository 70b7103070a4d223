"""Large data from Parquet to a printed summary: growth with rows, levels and workers.

    python -m benchmarks.large_data big --rows 1e6 1e7 --levels 1e4 1e5
    python -m benchmarks.large_data big --rows 1e7 --levels 1e5 --crossed 1000
    python -m benchmarks.large_data big --rows 1e7 --levels 1e5 --bernoulli

Each file is written, read in a process of its own and deleted; a row is appended to `results/large_data.csv`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import mixedmodels as mm
from benchmarks import chart
from benchmarks.big_data import BigData, Cost, in_child, write

RESULTS = Path(__file__).with_name("results") / "large_data.csv"
FIELDS = ("rows", "levels", "crossed", "bernoulli", "workers", "seconds", "processor_seconds", "peak_mb")
MODEL, CROSSED = "y ~ x + z + (1 + x | g)", "y ~ x + z + (1 | g) + (1 | h)"
BINARY = "y ~ x + z + (1 | g)"


def summarised(path: str, formula: str, workers: int) -> str:
    """Fit the model to a file and return its printed summary."""
    sums = mm.moments(formula, path, n_jobs=workers, progress=False)
    return str(mm.lmer(sums).summary())


def binary_summarised(path: str) -> str:
    """Count the distinct rows of a file with a response of 0 and 1, fit the model and return its summary."""
    return str(mm.glmer(BINARY, path, family="binomial").summary())


def measured(folder: Path, data: BigData, workers: Sequence[int]) -> list[dict[str, Any]]:
    """Write a file, fit the model to it with each number of workers, delete it and return the costs."""
    path = folder / f"rows_{data.rows}_{data.levels}_{data.crossed}_{data.bernoulli:d}.parquet"
    found = []
    try:
        write(path, data)
        for count in workers:
            cost = _cost(str(path), data, count)
            print(cost.value)
            found.append(
                {
                    "rows": data.rows,
                    "levels": data.levels,
                    "crossed": data.crossed,
                    "bernoulli": int(data.bernoulli),
                    "workers": count,
                    "seconds": round(cost.seconds, 2),
                    "processor_seconds": round(cost.processor_seconds, 2),
                    "peak_mb": round(cost.peak_mb),
                }
            )
            print(found[-1], flush=True)
    finally:
        path.unlink(missing_ok=True)
    return found


def _cost(path: str, data: BigData, workers: int) -> Cost:
    if data.bernoulli:
        return in_child("benchmarks.large_data:binary_summarised", path)
    return in_child("benchmarks.large_data:summarised", path, CROSSED if data.crossed else MODEL, workers)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every combination asked for and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.large_data", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="where the files are written, and deleted afterwards")
    parser.add_argument("--rows", type=float, nargs="+", default=[1e6])
    parser.add_argument("--levels", type=float, nargs="+", default=[1e4])
    parser.add_argument("--crossed", type=float, default=0, help="levels of a second factor")
    parser.add_argument("--bernoulli", action="store_true", help="a response of 0 and 1")
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    for rows in options.rows:
        for levels in options.levels:
            data = BigData(int(rows), int(levels), int(options.crossed), options.bernoulli)
            _append(measured(options.folder, data, options.workers))
    draw()
    return 0


def _append(rows: list[dict[str, Any]]) -> None:
    is_new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def draw() -> None:
    """Draw processor time against rows, a line for each number of levels."""
    with RESULTS.open(newline="") as file:
        records = list(csv.DictReader(file))
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    kinds = ("levels", "crossed", "bernoulli")
    for kind in sorted({tuple(int(r[name]) for name in kinds) for r in records}):
        chosen = [
            (int(r["rows"]), float(r["processor_seconds"]))
            for r in records
            if r["workers"] == "1" and tuple(int(r[name]) for name in kinds) == kind
        ]
        levels, crossed, bernoulli = kind
        label = f"{levels:,} levels" + (f" crossed with {crossed:,}" if crossed else "")
        label += ", 0 and 1" if bernoulli else ""
        axes.plot(*zip(*sorted(chosen), strict=True), "o-", label=label)
    axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="processor seconds to the summary")
    axes.legend(frameon=False)
    chart.save(figure, RESULTS.with_suffix(".svg"))


if __name__ == "__main__":
    raise SystemExit(main())
