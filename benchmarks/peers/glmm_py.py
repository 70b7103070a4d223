"""glmm: Rust engine, one function ``fit``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import glmm
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.contestants import Outcome
from benchmarks.peers import common
from benchmarks.suite import Model

DISTRIBUTION = "glmm"


def unsupported(model: Model) -> str | None:
    """Everything in the suite can be expressed; quadrature on one factor with up to three effects a group."""
    if model.nAGQ > 1 and common.crossed(model):
        return "quadrature for one grouping factor only"
    return None


def fitter(model: Model, frame: pd.DataFrame) -> Callable[[], Any]:
    """Give it the plain formula; factor slopes, which it refuses, are coded 0/1 beforehand."""
    frame = common.with_numeric_slopes(model, frame)
    formula, plain = common.with_plain_columns(model, frame)
    if model.linear:
        return lambda: glmm.fit(plain, formula, reml=model.REML)
    weights = common.trials(model, frame)
    return lambda: glmm.fit(plain, formula, family=model.family, nagq=model.nAGQ, weights=weights)


def outcome(model: Model, fit: Any) -> Outcome:
    """Its log-likelihood has all constants; gradient evaluations are counted apart."""
    return Outcome(-2.0 * fit.loglik, max(fit.n_eval, fit.n_grad))


def standard_errors(fit: Any) -> Any:
    """Read them: the fit has computed them."""
    return fit.se


def refitter(model: Model, fit: Any, y: NDArray[np.float64]) -> None:
    """There is no refit; a new response is a new fit."""
