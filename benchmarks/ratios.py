"""Seconds of some fits over seconds of fixed work of NumPy in the same process, beside what was committed.

python -m benchmarks.ratios            # compare (make bench-check); status 1 where a ratio has grown
python -m benchmarks.ratios --write    # take the ratios measured now as the measure

Processor seconds, one BLAS thread; the least of several rounds, in each of which fit and yardstick follow
each other: whoever disturbs one disturbs the other.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import cholesky, eigh
from scipy.linalg.blas import dsyrk

import mixedmodels as mm
from benchmarks import front_rows, linear_work, simulate

BASELINE = Path(__file__).resolve().parent / "results" / "ratios.json"
#: Growth of a ratio that is still noise: two runs with loads of 15 and 8 on two cores differed by up to 1.3
#: times where the code was the same. A pass or a factorization more is seen in counts.py.
ROOM = 1.6
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A fit, the work it is measured by, and how often both are done in a round.

    Attributes
    ----------
    prepare : callable
        Makes the data and returns the fit.
    yardstick : str
        One of `YARDSTICKS`.
    times : int
        Fits in a round: of small ones many.
    """

    prepare: Callable[[], Callable[[], Any]]
    yardstick: str
    times: int = 1


def _calls() -> Callable[[], Any]:
    """Return a thousand calls on small arrays."""
    a, x = np.eye(4), np.arange(4.0)

    def work() -> None:
        for _ in range(1000):
            a.dot(x).sum()

    return work


def _passes() -> Callable[[], Any]:
    """Return passes over a million rows: a sum by levels and a product."""
    rng = np.random.default_rng(1)
    codes, x = rng.integers(1000, size=1_000_000), rng.normal(size=1_000_000)
    return lambda: (np.bincount(codes, x, 1000), float(x @ x))


def _syrk() -> Callable[[], Any]:
    X = np.asfortranarray(np.random.default_rng(1).normal(size=(20_000, 1000)))
    return lambda: dsyrk(1.0, X, trans=1)


def _eigh() -> Callable[[], Any]:
    A = np.cov(np.random.default_rng(1).normal(size=(600, 900)))
    return lambda: eigh(A, driver="evd")


def _cholesky() -> Callable[[], Any]:
    A = np.cov(np.random.default_rng(1).normal(size=(1600, 2400)))
    return lambda: cholesky(A, lower=True)


YARDSTICKS: dict[str, Callable[[], Callable[[], Any]]] = {
    "1000 small calls": _calls,
    "passes over 1e6 rows": _passes,
    "syrk of 20,000 x 1,000": _syrk,
    "eigh of 600": _eigh,
    "cholesky of 1,600": _cholesky,
}


def _small(fit: Callable[..., Any], formula: str, data: str, *others: str) -> Callable[[], Callable[[], Any]]:
    def prepare() -> Callable[[], Any]:
        frame = mm.load_dataset(data)
        return lambda: fit(formula, frame, *others)

    return prepare


def _front(name: str) -> Callable[[], Callable[[], Any]]:
    def prepare() -> Callable[[], Any]:
        row = front_rows.ROWS[name]
        frame = row.frame()
        return lambda: mm.lmer(row.formula, frame)

    return prepare


def _drop1() -> Callable[[], Any]:
    data = simulate.slopes(rows=200_000, groups=1_000)
    data = data.assign(**{f"z{k}": np.random.default_rng(k).normal(size=len(data)) for k in range(5)})
    model = mm.lmer("y ~ x + z0 + z1 + z2 + z3 + z4 + (1 | g)", pd.DataFrame(data), REML=False)
    return lambda: model.drop1()


TICKS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
ROWS = {
    "sleepstudy": Row(
        _small(mm.lmer, "Reaction ~ Days + (Days | Subject)", "sleepstudy"), "1000 small calls", 20
    ),
    "Penicillin": Row(
        _small(mm.lmer, "diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin"), "1000 small calls", 20
    ),
    "cbpp": Row(_small(mm.glmer, TICKS, "cbpp", "binomial"), "1000 small calls", 20),
    "a million rows": Row(_front("category keys"), "passes over 1e6 rows"),
    "x * f of 50 levels, a million rows": Row(_front("x:f50"), "passes over 1e6 rows"),
    "drop1 of six terms, 200,000 rows": Row(_drop1, "passes over 1e6 rows"),
    "1,000 predictors": Row(_front("p=1000"), "syrk of 20,000 x 1,000"),
    "relmat of 600, dense": Row(lambda: linear_work.related(600, 3_000, "dense")[1], "eigh of 600"),
    "five crossed factors of 400": Row(lambda: linear_work.five_crossed(40_000, 400)[1], "cholesky of 1,600"),
    "heavy-tailed crossing, 60,000 rows": Row(
        lambda: linear_work.zipf(60_000, 6_000, 1_500)[1], "cholesky of 1,600"
    ),
}


def ratio(row: Row) -> float:
    """Return the seconds of a fit over those of its yardstick."""
    work, fit = YARDSTICKS[row.yardstick](), row.prepare()
    work(), fit()
    pairs = [(_seconds(work, row.times), _seconds(fit, row.times)) for _ in range(ROUNDS)]
    return min(pair[1] for pair in pairs) / min(pair[0] for pair in pairs)


def _seconds(work: Callable[[], Any], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        work()
    return time.process_time() - start


def grown(now: dict[str, float], before: dict[str, float]) -> list[str]:
    """Return which ratios have grown by more than noise."""
    return [
        f"{name}: {before[name]:.3g} -> {found:.3g}"
        for name, found in now.items()
        if name in before and found > ROOM * before[name]
    ]


def main(arguments: list[str]) -> int:
    """Compare or write, and return the exit status."""
    now: dict[str, float] = {}
    for name, row in ROWS.items():
        now[name] = ratio(row)
        print(f"{name:40}  {now[name]:8.3g} x {row.yardstick}", flush=True)
    if arguments == ["--write"]:
        shown = {name: float(f"{found:.3g}") for name, found in now.items()}
        BASELINE.write_text(json.dumps(shown, indent=1) + "\n", encoding="utf-8")
        return 0
    found = grown(now, json.loads(BASELINE.read_text(encoding="utf-8")))
    print("\n".join(["slower than committed:", *found]) if found else "no slower than committed")
    return int(bool(found))


if __name__ == "__main__":
    # BLAS reads it when it is loaded, which is before this module runs.
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.ratios", *sys.argv[1:]],
                  {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})  # fmt: skip
    sys.exit(main(sys.argv[1:]))
