"""statsmodels MixedLM: Python loops over groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.formula.api import mixedlm

from benchmarks.contestants import Outcome
from benchmarks.peers import common
from benchmarks.suite import Model

DISTRIBUTION = "statsmodels"


def unsupported(model: Model) -> str | None:
    """Gaussian responses; crossed factors only as one dense group, which no model here fits into."""
    if not model.linear:
        return "no maximum likelihood for generalized mixed models"
    return "crossed or nested factors only through dense matrices" if common.crossed(model) else None


def fitter(model: Model, frame: pd.DataFrame) -> Callable[[], Any]:
    """Split the formula into its three parts."""
    ((expression, group),) = model.random
    formula = f"{model.response} ~ {model.fixed}"
    return lambda: mixedlm(formula, frame, groups=frame[group], re_formula=f"~{expression}").fit(
        reml=model.REML
    )


def outcome(model: Model, fit: Any) -> Outcome:
    """Return the objective; evaluations are not reported."""
    return Outcome(-2.0 * fit.llf)


def standard_errors(fit: Any) -> Any:
    """Compute them, which is done when asked for."""
    return fit.bse


def refitter(model: Model, fit: Any, y: NDArray[np.float64]) -> None:
    """There is no refit."""
