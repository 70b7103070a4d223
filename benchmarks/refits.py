"""What related fits cost beside the fit itself: warm starts and shared cross-products, counted.

    python -m benchmarks.refits

For each piece of work the number of fits in it; then, of one of them and of the fit from the data,
evaluations (where a search counts them) and sums over the rows by level, and how the processor seconds
compare. Two of the evaluations of a linear fit look for an optimum far off, one is that of the estimates.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from benchmarks.counts import PACKAGE

PASSES = ("against", "sums", "sums_by", "level_sums")
REPLICATES = 20
Work = tuple[str, Callable[[Any], Any], int]


def large() -> pd.DataFrame:
    """Return 200,000 rows of two crossed factors and three predictors."""
    rng = np.random.default_rng(1)
    n, a, b = 200_000, rng.integers(400, size=200_000), rng.integers(150, size=200_000)
    X = rng.normal(size=(n, 3))
    y = (
        X @ [0.5, 0.01, 0.0]
        + 0.7 * rng.normal(size=400)[a]
        + 0.4 * rng.normal(size=150)[b]
        + rng.normal(size=n)
    )
    return pd.DataFrame({"y": y, "x": X[:, 0], "z": X[:, 1], "w": X[:, 2], "a": a, "b": b})


def noisy(model: Any) -> np.ndarray[Any, Any]:
    """Return a response near that of a model."""
    return np.asarray(model.y + 0.1 * np.random.default_rng(2).normal(size=len(model.y)))


def linear() -> tuple[Callable[[], Any], list[Work]]:
    """Return the linear fit, and what is asked of it."""
    data = large()
    smaller = mm.lmer("y ~ x + z + (1 | a) + (1 | b)", data)
    return lambda: mm.lmer("y ~ x + z + w + (1 | a) + (1 | b)", data), [
        ("refitML()", lambda m: m.refitML(), 1),
        ("refit(y)", lambda m: m.refit(noisy(m)), 1),
        ("anova(), refitted", lambda m: mm.anova(m, smaller), 2),
        ("drop1()", lambda m: mm.drop1(m), 4),
        ("profile()", lambda m: mm.profile(m), 1),
        ("bootstrap()", lambda m: mm.bootstrap(m, nsim=REPLICATES, rng=1), REPLICATES),
    ]


def generalized() -> tuple[Callable[[], Any], list[Work]]:
    """Return the generalized fit, and what is asked of it."""
    data = mm.load_dataset("VerbAgg")
    formula = "r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)"
    again = np.random.default_rng(3).permutation(100)
    return lambda: mm.glmer(formula, data, "binomial"), [
        ("refit(y)", lambda m: m.refit(flipped(m.y, again)), 1),
        ("drop1()", lambda m: mm.drop1(m), 4),
        ("bootstrap()", lambda m: mm.bootstrap(m, nsim=REPLICATES, rng=1), REPLICATES),
    ]


def flipped(y: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return zeros and ones of which some are the other way round."""
    y = y.copy()
    y[rows] = 1.0 - y[rows]
    return y


def counted(work: Callable[[], Any]) -> tuple[list[int], int, float]:
    """Return evaluations of the searches in some work, its sums over rows, and its processor seconds."""
    began = time.process_time()
    work()
    seconds = time.process_time() - began
    searches: list[int] = []
    passes = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal passes
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            return
        if event == "call":
            passes += code.co_name in PASSES
        elif event == "return" and code.co_name in ("fit_linear", "fit_generalized") and argument is not None:
            searches.append(argument.optimization.n_evaluations)

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return searches, passes, seconds


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    for kind, prepare in (("linear, 200,000 rows", linear), ("VerbAgg", generalized)):
        fit, asked = prepare()
        fit()
        cold, cold_passes, cold_seconds = counted(fit)
        for name, work, n_fits in asked:
            # Everything is asked of a fresh fit: what a model computes once for all is part of the work.
            own = iter((fit(), fit(), fit()))
            work(next(own))
            searches, passes, seconds = counted(lambda own=own, work=work: work(next(own)))  # type: ignore[misc]
            evaluations = f"{np.mean(searches):.1f} of {cold[0]}" if searches else "-"
            rows = f"{passes / n_fits:.1f} of {cold_passes}"
            ratio = seconds / n_fits / cold_seconds
            print(f"| {kind} | {name} | {n_fits} | {evaluations} | {rows} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
