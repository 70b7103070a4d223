"""mixedlm-rs: statsmodels' interface on a Rust engine, one grouping factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mixedlm_rs
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.contestants import Outcome
from benchmarks.peers import common
from benchmarks.suite import Model

DISTRIBUTION = "mixedlm-rs"


def unsupported(model: Model) -> str | None:
    """Gaussian responses and one grouping factor only."""
    if not model.linear:
        return "Gaussian responses only"
    return "one grouping factor only" if common.crossed(model) else None


def fitter(model: Model, frame: pd.DataFrame) -> Callable[[], Any]:
    """Split the formula into statsmodels' three parts."""
    ((expression, group),) = model.random
    formula = f"{model.response} ~ {model.fixed}"

    def fit() -> Any:
        parts = mixedlm_rs.MixedLM.from_formula(
            formula, frame, re_formula=f"~{expression}", groups=frame[group]
        )
        return parts.fit(reml=model.REML)

    return fit


def outcome(model: Model, fit: Any) -> Outcome:
    """Return the objective; evaluations are not reported."""
    return Outcome(-2.0 * fit.llf)


def refitter(model: Model, fit: Any, y: NDArray[np.float64]) -> None:
    """There is no refit."""
