"""lme-python: bindings of a Rust crate; its generalized fits are nAGQ = 0 with other constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lme_python
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.contestants import Outcome
from benchmarks.peers import common
from benchmarks.suite import Model

DISTRIBUTION = "lme-python"


def unsupported(model: Model) -> str | None:
    """Its generalized fits optimise another criterion, and quadrature is not optimised at all."""
    if not model.linear:
        return "beta is profiled out inside PIRLS (nAGQ = 0); not the Laplace or quadrature estimate"
    return None


def fitter(model: Model, frame: pd.DataFrame) -> Callable[[], Any]:
    """Give it the plain formula; factor slopes, which it refuses, are coded 0/1 beforehand."""
    formula, plain = common.with_plain_columns(model, common.with_numeric_slopes(model, frame))

    def fit() -> tuple[Any, str, pd.DataFrame]:
        return lme_python.lmer(formula, plain, reml=model.REML), formula, plain

    return fit


def outcome(model: Model, fit: Any) -> Outcome:
    """Its deviance is the criterion minimised."""
    return Outcome(-2.0 * fit[0].log_likelihood, fit[0].iterations)


def refitter(model: Model, fit: Any, y: NDArray[np.float64]) -> Callable[[], Any]:
    """Refit a prepared design, made before the clock starts."""
    prepared = lme_python.prepare_lmer(fit[1], fit[2])
    values = y.tolist()
    return lambda: prepared.fit(y=values, reml=model.REML)
