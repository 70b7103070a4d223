"""Whether the default start of generalized models finds the best optimum that any start finds: random models.

    python -m benchmarks.global_optimum_generalized [--models 330] [--first 20000] [--minutes 12] [--out FILE]

Each model is drawn from its number (benchmarks/random_generalized.py). It is fitted from the default start
and from constant theta, and the table says how far the default is above the best of them. Families come in
turn; numbers below FRESH were looked at while the starts were written, those from there on were not. The
search ends after so many models or minutes.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

import mixedmodels as mm
from benchmarks.machine import commit
from benchmarks.random_generalized import FAMILIES, RandomModel, drawn

STARTS = (0.1, 1.0, 3.0, 10.0, 30.0)
# Difference of -2 log-likelihood that is another optimum.
MISSED = 1e-4
# First number of the models that no start was written for.
FRESH = 20_000
# Commit of the code that is searched.
VERSION = commit()
RESULTS = Path(__file__).parent / "results" / "global_optimum_generalized.csv"


@dataclass(frozen=True, slots=True)
class Result:
    """One model: how far its default fit is above the best, and what the fits cost.

    Attributes
    ----------
    model : int
        Number, the seed of the model.
    version : str
        Commit of the code.
    family, shape, size : str
        Of the model.
    rows : int
        Rows of the data.
    default, verdict : float and str
        -2 log-likelihood of the default fit, and what is said of it.
    best, best_start, best_verdict : float and str
        The lowest of any fit that is called an optimum (of the approximation at least, which an inexact one
        is), where it started, and what is said of it.
    above : float
        How far the default is above it.
    evaluations, seconds : int and float
        Of the default fit.
    """

    model: int
    version: str
    family: str
    shape: str
    size: str
    rows: int
    default: float
    verdict: str
    best: float
    best_start: str
    best_verdict: str
    above: float
    evaluations: int
    seconds: float

    @property
    def is_missed(self) -> bool:
        """Whether another start has found a lower optimum, or the only one."""
        return self.above > MISSED or (self.verdict == "not converged" and self.has_optimum)

    @property
    def has_optimum(self) -> bool:
        """Whether any start has led to an optimum."""
        return self.best_verdict != "not converged"


def fits(model: RandomModel) -> Iterator[tuple[str, Any]]:
    """Yield (start, fit) of the default start and of each constant theta; of those that can be fitted."""
    n_theta = 0
    for start in (None, *STARTS):
        try:
            given = None if start is None else {"theta": np.full(n_theta, start)}
            fitted = mm.glmer(model.formula, model.data, FAMILIES[model.family], start=given)
        except mm.MixedModelsError:
            if start is None:
                return
            continue
        n_theta = len(fitted.theta())
        yield "default" if start is None else f"{start:g}", fitted


def searched(seed: int) -> Result | None:
    """Return what the default start of one model finds beside the others; None if it cannot be fitted."""
    model = drawn(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.MixedModelsWarning)
        found = list(fits(model))
    if not found:
        return None
    default = found[0][1]
    ended = [(start, m) for start, m in found if m.convergence().verdict != "not converged"] or found[:1]
    start, best = min(ended, key=lambda pair: -float(pair[1].loglik()))
    values = -2.0 * default.loglik(), -2.0 * best.loglik()
    return Result(
        seed, VERSION, model.family, model.shape, model.size, len(model.data),
        round(values[0], 5), default.convergence().verdict,
        round(values[1], 5), start, best.convergence().verdict, round(values[0] - values[1], 5),
        default.optimization.n_evaluations, round(default.optimization.seconds, 3),
    )  # fmt: skip


def write(results: Sequence[Result], path: Path = RESULTS) -> None:
    """Write the table."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Result)])
        writer.writeheader()
        writer.writerows(asdict(result) for result in results)


def main() -> None:
    """Search, print what was missed, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=330)
    parser.add_argument("--first", type=int, default=FRESH)
    parser.add_argument("--minutes", type=float, default=np.inf)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    began, results = time.perf_counter(), []
    for seed in range(arguments.first, arguments.first + arguments.models):
        if time.perf_counter() - began > 60.0 * arguments.minutes:
            break
        result = searched(seed)
        if result is None:
            continue
        results.append(result)
        if result.is_missed:
            print(result, flush=True)
    write(results, arguments.out)
    missed = sum(result.is_missed for result in results)
    print(f"{missed} of {len(results)} missed, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
