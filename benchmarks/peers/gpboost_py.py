"""gpboost: C++ engine without formulas; its matrices are made before the clock starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import formulaic
import gpboost
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.contestants import Outcome
from benchmarks.peers import common
from benchmarks.suite import Model

DISTRIBUTION = "gpboost"


def unsupported(model: Model) -> str | None:
    """Maximum likelihood with independent scalar effects; Laplace for other responses."""
    if model.linear and model.REML:
        return "no REML"
    if any(expression != "1" for expression, _ in model.random):
        return "no correlated random effects"
    return "Laplace only" if model.nAGQ > 1 else None


def fitter(model: Model, frame: pd.DataFrame) -> Callable[[], Any]:
    """Fit by exact Cholesky; the default for several factors is a stochastic approximation."""
    formula, plain = common.with_plain_columns(model, frame)
    fixed = model.fixed if formula.partition("~")[2].strip() == model.fixed else formula.partition("~")[2]
    X = np.asarray(formulaic.model_matrix(_without_bars(fixed), plain), dtype=float)
    y = np.asarray(plain[formula.partition("~")[0].strip()], dtype=float)
    groups = np.column_stack([_codes(plain, group) for _, group in model.random])
    weights = common.trials(model, frame)
    likelihood = {"gaussian": "gaussian", "binomial": "bernoulli_logit", "poisson": "poisson"}[model.family]
    if weights is not None:
        likelihood = "binomial_logit"

    def fit() -> Any:
        process = gpboost.GPModel(
            group_data=groups, likelihood=likelihood, weights=weights, matrix_inversion_method="cholesky"
        )
        return process.fit(y=y, X=X)

    return fit


def outcome(model: Model, fit: Any) -> Outcome:
    """Return the objective; evaluations are not reported."""
    return Outcome(2.0 * fit.get_current_neg_log_likelihood())


def refitter(model: Model, fit: Any, y: NDArray[np.float64]) -> None:
    """There is no refit."""


def _without_bars(right: str) -> str:
    return Model("plain", "", f"y ~ {right}").fixed


def _codes(frame: pd.DataFrame, group: str) -> NDArray[np.int64]:
    parts = frame.groupby(group.split(":"), observed=True, sort=False)
    return np.asarray(parts.ngroup(), dtype=np.int64)
