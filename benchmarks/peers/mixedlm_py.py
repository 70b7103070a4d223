"""mixedlm: lme4's names on a Rust objective and SciPy optimisers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mixedlm
import numpy as np
import pandas as pd
from mixedlm import families
from numpy.typing import NDArray

from benchmarks.contestants import Outcome
from benchmarks.peers import common
from benchmarks.suite import Model

DISTRIBUTION = "mixedlm"
FAMILY = {"binomial": families.Binomial, "poisson": families.Poisson}


def unsupported(model: Model) -> str | None:
    """Vector-valued quadrature is the one thing it lacks here."""
    if model.nAGQ > 1 and any(expression != "1" for expression, _ in model.random):
        return "quadrature for one scalar random effect only"
    return None


def fitter(model: Model, frame: pd.DataFrame) -> Callable[[], Any]:
    """Give it the plain formula, and proportions with their denominators as weights."""
    formula, plain = common.with_plain_columns(model, frame)
    if model.linear:
        return lambda: mixedlm.lmer(formula, plain, REML=model.REML)
    weights = common.trials(model, frame)
    family = FAMILY[model.family]()
    return lambda: mixedlm.glmer(formula, plain, family=family, nAGQ=model.nAGQ, weights=weights)


def outcome(model: Model, fit: Any) -> Outcome:
    """Its log-likelihood has all constants."""
    evaluations = getattr(fit, "function_evals", None) or fit.n_iter
    return Outcome(-2.0 * fit.logLik().value, int(evaluations))


def refitter(model: Model, fit: Any, y: NDArray[np.float64]) -> Callable[[], Any]:
    """Refit on the same design; counts go in as proportions."""
    new = y if model.linear else y / fit.weights()
    return lambda: fit.refit(new)
