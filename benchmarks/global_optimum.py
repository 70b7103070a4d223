"""The search for linear models whose default start misses the lowest optimum.

    python -m benchmarks.global_optimum                        # 400 models, five other starts each
    python -m benchmarks.global_optimum --models 100 --lme4    # the same with lme4's optimisers
    python -m benchmarks.global_optimum --first 50000          # other models: seeds from here on
    python -m benchmarks.global_optimum --minutes 20           # go on with the table for so long

Each model of :mod:`benchmarks.random_models` is fitted from the default start and from the constant thetas of
``STARTS``; with ``--lme4`` also by lme4 with bobyqa, Nelder_Mead and nlminbwrap. The default has missed where
any of them comes lower by more than ``WITHIN``. Where ``may_be_saturated``, effects can reproduce the
response and the likelihood may have no maximum: where the verdict says so (``no_maximum``) the objective is
that of a local optimum, and how low another search comes is a matter of rounding. Such models are counted
apart; of the others none may come to such an end from another start.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import tempfile
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from benchmarks.machine import commit
from benchmarks.random_models import KINDS, RandomModel, draw
from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.looks import may_be_saturated

#: Other starts: every element of theta.
STARTS = (0.1, 1.0, 3.0, 10.0, 30.0)
#: Units of the objective that count as the same optimum.
WITHIN = 1e-4
ROOT = Path(__file__).parent
RESULTS = ROOT / "results" / "global_optimum.csv"
#: lme4's optimisers.
OPTIMISERS = ("bobyqa", "Nelder_Mead", "nlminbwrap")
#: Commit of the code that is searched.
VERSION = commit()
LME4 = ROOT / "peers" / "global_optimum.R"


def fitted(model: RandomModel, start: FloatArray | None = None) -> mm.LinearMixedModel:
    """Fit a model from a start."""
    return mm.lmer(model.formula, model.data, start=start, **model.arguments)


def objective(fit: mm.LinearMixedModel) -> float:
    """Return the criterion of a fit."""
    return float(fit.REMLcrit() if fit.is_reml else -2.0 * fit.loglik())


def has_no_maximum(fit: mm.LinearMixedModel) -> bool:
    """Tell whether the verdict on a fit is that the likelihood has no maximum."""
    return any("no maximum" in reason for reason in fit.convergence().reasons)


def row_of(model: RandomModel) -> dict[str, Any] | None:
    """Return one row of the results, or None for data that a model refuses."""
    try:
        default = fitted(model)
    except mm.MixedModelsError:
        return None
    best, endless = math.inf, 0
    for size in STARTS:
        with suppress(mm.MixedModelsError):
            fit = fitted(model, np.full(len(default.theta()), size))
            best, endless = min(best, objective(fit)), endless + has_no_maximum(fit)
    return {
        "version": VERSION,
        "kind": model.kind,
        "seed": model.seed,
        "formula": model.formula,
        "REML": model.REML,
        "rows": len(model.data),
        "may_be_saturated": may_be_saturated(default.problem),
        "default": objective(default),
        "verdict": default.convergence().verdict,
        "no_maximum": has_no_maximum(default),
        "starts_without_maximum": endless,
        "best_of_starts": best,
    }


def searched(path: Path, number: int, first: int, minutes: float) -> pd.DataFrame:
    """Go on with a table, half of the models of each kind, and return what it holds when the time is over.

    Rows are written as they come; a seed whose data a model refuses has none.
    """
    ends = time.perf_counter() + 60.0 * minutes
    known = pd.read_csv(path) if path.exists() else pd.DataFrame({"kind": [], "seed": []})
    for kind in KINDS:
        seeds = known.seed[known.kind == kind]
        seed, found = int(seeds.max()) + 1 if len(seeds) else first, len(seeds)
        while found < number // len(KINDS) and time.perf_counter() < ends:
            row = row_of(draw(kind, seed))
            seed += 1
            if row is not None:
                found += 1
                table = pd.DataFrame([row])
                table.to_csv(path, mode="a", header=not path.exists(), index=False, float_format="%.6f")
    return pd.read_csv(path)


def of_lme4(models: list[RandomModel]) -> pd.DataFrame:
    """Return the objective of each of lme4's optimisers, one row a model; NaN where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        listed = []
        for k, model in enumerate(models):
            model.data.to_csv(Path(folder) / f"{k}.csv", index=False)
            listed.append({"file": f"{k}.csv", "formula": model.formula, "REML": model.REML})
        pd.DataFrame(listed).to_csv(Path(folder) / "models.csv", index=False)
        subprocess.run(["Rscript", str(LME4), folder], check=True, capture_output=True)
        return pd.read_csv(Path(folder) / "objectives.csv")


def main() -> None:
    """Search, write the results and print what was missed."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--models", type=int, default=400, help="how many (default 400)")
    options.add_argument("--first", type=int, default=0, help="first seed (default 0)")
    options.add_argument("--minutes", type=float, default=math.inf, help="time to spend (default: all)")
    options.add_argument("--lme4", action="store_true", help="ask lme4 too, once all models are there")
    options.add_argument("--out", type=Path, default=RESULTS, help="results file, gone on with if it exists")
    chosen = options.parse_args()
    warnings.simplefilter("ignore")
    results = searched(chosen.out, chosen.models, chosen.first, chosen.minutes)
    is_whole = len(results) >= chosen.models // len(KINDS) * len(KINDS)
    if chosen.lme4 and is_whole:
        models = [draw(kind, seed) for kind, seed in zip(results.kind, results.seed, strict=True)]
        results[list(OPTIMISERS)] = of_lme4(models)[list(OPTIMISERS)].to_numpy()
    others = [name for name in ("best_of_starts", *OPTIMISERS) if name in results]
    results["missed_by"] = (results["default"] - results[others].min(axis=1)).clip(lower=0.0)
    if is_whole:
        results.to_csv(chosen.out, index=False, float_format="%.6f")
    bounded = results[~results["no_maximum"]]
    missed = bounded[(bounded["missed_by"] > WITHIN) | (bounded["starts_without_maximum"] > 0)]
    print(f"{len(bounded) - len(missed)} of {len(bounded)} default starts within {WITHIN:g} of the best")
    print(f"{len(results) - len(bounded)} more models have no maximum, and the verdict says so")
    print(missed.to_string() if len(missed) else "")


if __name__ == "__main__":
    main()
