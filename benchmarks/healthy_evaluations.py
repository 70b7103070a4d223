"""Evaluations of 20 healthy linear models of every structure: what a search takes, and what further looks do.

    python -m benchmarks.healthy_evaluations [--out FILE]

Each kind is drawn with 24 groups, deviations of the size of the residual and a moderate correlation. The
column ``first`` counts up to the first optimum, ``all`` until the end of the fit.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from benchmarks.machine import commit
from mixedmodels.engines.linear.fit import fit_linear

RESULTS = Path(__file__).parent / "results" / "healthy_evaluations.csv"
#: Random effects by kind.
TERMS = {
    "plain": "(1 | g)",
    "plain slope": "(x | g)",
    "double bar": "(x || g)",
    "diag": "diag(x | g)",
    "cs": "cs(0 + f | g)",
    "cs, one deviation": "cs(0 + f | g, hom = TRUE)",
    "ar1": "ar1(0 + f | g)",
    "ar1, own deviations": "ar1(0 + f | g, hom = FALSE)",
    "crossed": "(1 | g) + (1 | h)",
    "relmat": "(1 | g)",
}
N_GROUPS, N_TIMES, N_REPEATS = 24, 4, 3


def drawn(kind: str, seed: int) -> tuple[str, pd.DataFrame, dict[str, Any]]:
    """Return formula, data and arguments of a healthy model."""
    rng = np.random.default_rng([20, seed])
    size = N_TIMES * N_REPEATS
    g, f = np.repeat(np.arange(N_GROUPS), size), np.tile(np.arange(size) % N_TIMES, N_GROUPS)
    h, x = rng.integers(0, 12, len(g)), rng.normal(size=len(g))
    lag = np.abs(np.subtract.outer(np.arange(N_TIMES), np.arange(N_TIMES)))
    between = 0.5 ** (lag if kind.startswith("ar1") else (lag > 0)).astype(float)
    by_time = rng.normal(size=(N_GROUPS, N_TIMES)) @ np.linalg.cholesky(between).T
    y = 0.5 * x + rng.normal(size=len(g)) + rng.normal(size=N_GROUPS)[g] * x * ("x" in TERMS[kind])
    y = y + (by_time[g, f] if "f" in TERMS[kind] else rng.normal(size=N_GROUPS)[g])
    y = y + ("| h)" in TERMS[kind]) * rng.normal(size=12)[h]
    names = np.array([f"g{k:02d}" for k in range(N_GROUPS)])
    data = pd.DataFrame({"y": y, "x": x, "f": np.array(list("abcd"))[f], "g": names[g], "h": h.astype(str)})
    A = rng.normal(size=(N_GROUPS, 2 * N_GROUPS))
    K = pd.DataFrame(A @ A.T / (2.0 * N_GROUPS), names, names)
    return f"y ~ x + {TERMS[kind]}", data, {"relmat": {"g": K}} if kind == "relmat" else {}


def row_of(kind: str, seed: int) -> dict[str, Any]:
    """Return evaluations of one model."""
    formula, data, arguments = drawn(kind, seed)
    fit = mm.lmer(formula, data, **arguments)
    first = fit_linear(fit.problem, True, looks=False)
    return {
        "version": commit(),
        "kind": kind,
        "seed": seed,
        "first": first.optimization.n_evaluations,
        "all": fit.optimization.n_evaluations,
        "objective": round(fit.REMLcrit(), 6),
        "verdict": fit.convergence().verdict,
    }


def main() -> None:
    """Count, write and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--out", type=Path, default=RESULTS, help="results file")
    chosen = options.parse_args()
    table = pd.DataFrame([row_of(kind, seed) for kind in TERMS for seed in range(2)])
    table.to_csv(chosen.out, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
