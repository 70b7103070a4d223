"""mixedmodels itself, through its public functions."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.contestants import Outcome
from benchmarks.suite import Model
from mixedmodels import glmer, lmer

DISTRIBUTION = "mixedmodels"
FAMILIES = ("gaussian", "binomial", "poisson", "betabinomial")


def unsupported(model: Model) -> str | None:
    """Every model of the suite can be expressed."""
    return None


def fitter(model: Model, frame: pd.DataFrame) -> Callable[[], Any]:
    """Call lmer or glmer with the formula as it stands, and the threads of everyone if they are several."""
    threads = int(os.environ.get("OPENBLAS_NUM_THREADS", "1"))
    control = {"n_threads": threads} if threads > 1 else None
    if model.linear:
        return lambda: lmer(model.formula, frame, REML=model.REML, control=control)
    return lambda: glmer(model.formula, frame, family=model.family, nAGQ=model.nAGQ, control=control)


def outcome(model: Model, fit: Any) -> Outcome:
    """Read the estimates' objective and the optimisation's report."""
    report = fit.optimization
    return Outcome(-2.0 * float(fit.loglik()), report.n_evaluations, report.seconds)


def standard_errors(fit: Any) -> Any:
    """Compute the covariance of the fixed effects, which is done when asked for."""
    return fit.vcov()


def refitter(model: Model, fit: Any, y: NDArray[np.float64]) -> Callable[[], Any]:
    """Refit to a new response on the same design."""
    return lambda: fit.refit(y)
