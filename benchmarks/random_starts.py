"""The default start of generalized models against five random ones: small random models of every family.

    nice -n 10 python -m benchmarks.random_starts [--models 210] [--first 0] [--minutes 9]

Each model is drawn from its number, with few rows so that it is fitted in a second. Its default fit is held
against searches from five random thetas that look nowhere else. Rows are written as they come, with the
version they are of, and a further run goes on where the last one stopped.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from benchmarks import random_generalized
from benchmarks.machine import commit
from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.optimum import parameter_layout
from mixedmodels.engines.generalized.problem import GeneralizedProblem, natural_to_psi, pack
from mixedmodels.engines.generalized.search import from_start
from mixedmodels.engines.generalized.start import starting_values
from mixedmodels.engines.generalized.verdict import has_stopped_moving, is_regular, polished
from mixedmodels.errors import ConvergenceError

FAMILIES: dict[str, Any] = {
    **random_generalized.FAMILIES,
    "beta-binomial": "betabinomial",
    "nbinom1": "nbinom1",
    "zero-inflated nbinom2": "zero_inflated_nbinom2",
}
SHAPES = ("(1 | g)", "(x | g)", "(x || g)", "(1 | g) + (1 | h)", "(x | g) + (1 | h)")
N_STARTS = 5
# Powers of ten of the deviations that models have, and from which searches start.
DEVIATIONS, STARTS = (-1.0, 0.6), (-1.5, 1.2)
# Difference of -2 log-likelihood that is another optimum.
MISSED = 1e-4
RESULTS = Path(__file__).parent / "results" / "random_starts.csv"


@dataclass(frozen=True, slots=True)
class Row:
    """One model: its default fit beside the lowest optimum of five random starts.

    Attributes
    ----------
    model : int
        Number, the seed of the model.
    version : str
        Commit of the code.
    family, random : str
        Family, and random effects of the formula.
    rows : int
        Rows of the data.
    default, verdict : float and str
        -2 log-likelihood of the default fit, and what is said of it.
    lowest : float
        The least that any of the others ended at with an optimum of the approximation; nan if none did.
    above : float
        How far the default is above it, 0 where it is below.
    n_lower : int
        How many of the others ended lower.
    n_ended : int
        How many ended at an optimum.
    evaluations, first, seconds : int, int and float
        Evaluations of the default fit, those of its first search, and its time.
    """

    model: int
    version: str
    family: str
    random: str
    rows: int
    default: float
    verdict: str
    lowest: float
    above: float
    n_lower: int
    n_ended: int
    evaluations: int
    first: int
    seconds: float


def drawn(seed: int) -> tuple[str, str, pd.DataFrame]:
    """Return family, random effects and data of a number."""
    rng = np.random.default_rng([7, seed])
    family = tuple(FAMILIES)[seed % len(FAMILIES)]
    random = SHAPES[(seed // len(FAMILIES)) % len(SHAPES)]
    q, k = int(rng.integers(4, 11)), int(rng.integers(3, 8))
    g = np.repeat(np.arange(q), k)
    h, x = rng.integers(0, 4, q * k), rng.normal(size=q * k)
    sd = 10.0 ** rng.uniform(*DEVIATIONS, 3)
    eta = 0.3 + 0.4 * x + sd[0] * rng.normal(size=q)[g]
    eta += ("h" in random) * sd[1] * rng.normal(size=4)[h] + ("x" in random) * sd[2] * rng.normal(size=q)[
        g
    ] * x
    eta = np.clip(eta, random_generalized.LEAST_ETA, random_generalized.LARGEST_ETA)
    if family == "beta-binomial":
        trials = rng.integers(2, 20, q * k).astype(float)
        chance = rng.beta(
            *(4.0 * part + 0.01 for part in (1.0 / (1.0 + np.exp(-eta)), 1.0 / (1.0 + np.exp(eta))))
        )
        y = rng.binomial(trials.astype(int), chance).astype(float)
    else:
        like = {"nbinom1": "nbinom2", "zero-inflated nbinom2": "nbinom2"}.get(family, family)
        y, trials = random_generalized.response(like, eta, rng)
        y = y * (rng.random(q * k) > 0.3) if family == "zero-inflated nbinom2" else y
    return family, random, pd.DataFrame({"y": y, "m": trials, "x": x, "g": g.astype(str), "h": h.astype(str)})


def random_thetas(problem: GeneralizedProblem, rng: np.random.Generator) -> FloatArray:
    """Return a theta with deviations of any size and correlations of any strength."""
    thetas = []
    for term in problem.terms:
        T = np.tril(rng.normal(size=(term.size, term.size)), -1)
        T = 10.0 ** rng.uniform(*STARTS, (term.size, 1)) * (T + np.eye(term.size))
        thetas.append(term.structure.pullback(term.structure.start(), T))
    return np.concatenate(thetas)


def ends(problem: GeneralizedProblem, seed: int) -> Iterator[float]:
    """Yield the objective of each optimum that a random start leads to."""
    rng, layout, evaluator = (
        np.random.default_rng([8, seed]),
        parameter_layout(problem),
        Evaluator(problem, 1),
    )
    values = starting_values(problem)
    for _ in range(N_STARTS):
        natural = np.concatenate([random_thetas(problem, rng), np.zeros(problem.n_fixed), values.phi])
        psi = pack(problem, values.thetas, values.gamma, values.phi)
        psi[: problem.n_theta] = natural_to_psi(problem, natural)[: problem.n_theta]
        evaluator.forget()
        try:
            found = polished(evaluator, layout, from_start(evaluator, layout, psi))
            regular = problem.has_one_mode or is_regular(evaluator.mode_at(found.psi))
        except (np.linalg.LinAlgError, ConvergenceError):
            continue
        if regular and has_stopped_moving(found):
            yield found.objective


def searched(seed: int, version: str) -> Row | None:
    """Return the row of one model; None if it cannot be fitted."""
    family, random, data = drawn(seed)
    left = "cbind(y, m - y)" if family in ("binomial", "beta-binomial") else "y"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.MixedModelsWarning)
        try:
            model = mm.glmer(f"{left} ~ x + {random}", data, FAMILIES[family])
        except mm.MixedModelsError:
            return None
    problem, default = model.problem, -2.0 * float(model.loglik())
    first = from_start(Evaluator(problem, 1), parameter_layout(problem), None).n_evaluations
    others = list(ends(problem, seed))
    lowest = min(others, default=np.nan)
    report = model.optimization
    return Row(
        seed, version, family, random, len(data), round(default, 5), model.convergence().verdict,
        round(lowest, 5), max(round(default - lowest, 5), 0.0) if others else 0.0,
        sum(other < default - MISSED for other in others), len(others),
        report.n_evaluations, first, round(report.seconds, 3),
    )  # fmt: skip


def main() -> None:
    """Go on with the table for so many models or minutes, and print what was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=210)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    began, version = time.perf_counter(), commit()
    is_new = not arguments.out.exists()
    done = set() if is_new else set(pd.read_csv(arguments.out).model)
    with arguments.out.open("a", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        if is_new:
            writer.writeheader()
        for seed in range(arguments.first, arguments.first + arguments.models):
            if seed in done or time.perf_counter() - began > 60.0 * arguments.minutes:
                continue
            row = searched(seed, version)
            if row is None:
                print(f"{seed} cannot be fitted", flush=True)
                continue
            writer.writerow(asdict(row))
            file.flush()
            if row.above > MISSED or (row.verdict == "not converged" and row.n_ended):
                print(row, flush=True)


if __name__ == "__main__":
    main()
