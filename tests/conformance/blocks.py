"""Compare the blocks of numbers that reference fits hold: named vectors, summaries of long ones, criteria."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tests.conformance.compare import mismatch
from tests.conformance.quantities import objective
from tests.conformance.result import Check, describe

# The issue's words: "objective no worse than the reference's and within 1e-6 relative of it; beta, theta,
# sigma, SEs, ranef within 1e-5 relative (1e-4 for SEs of GLMMs)".
OBJECTIVE = 1e-6
ESTIMATES = 1e-5
GLMM_ERRORS = 1e-4
# "No worse" up to what double precision leaves of a difference of logarithms over thousands of rows.
NO_WORSE = 1e-8


def check(quantity: str, compute: Callable[[], str]) -> Check:
    """Return the verdict on a quantity of which `compute` says what is wrong; an exception is, too."""
    try:
        found = compute()
    except Exception as error:
        found = describe(error)
    return Check(quantity, "fails" if found else "holds", found)


def named(block: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a {names, values} block by name."""
    return dict(zip(block["names"], block["values"], strict=True))


def relative(block: dict[str, Any], ours: Any, scale: Any, rtol: float) -> str:
    """Compare by name, each difference relative to the value or its standard error, the larger of the two."""
    ours = dict(ours.items())
    if list(ours) != block["names"]:
        return f"names are {list(ours)}, R's are {block['names']}"
    for name, value, se in zip(block["names"], block["values"], scale, strict=True):
        if not abs(ours[name] - value) <= rtol * max(abs(value), se or 0.0):
            return f"{name}: expected {value:.10g}, got {ours[name]:.10g}"
    return ""


def objective_mismatch(expected: float, model: Any) -> str:
    """Compare the objective, which must be no worse than R's and near it."""
    ours = objective(model)
    if found := worse(expected, ours):
        return found
    if expected - ours > OBJECTIVE * abs(expected):
        return f"lower by {expected - ours:.2e}: {ours:.10f}, R has {expected:.10f}"
    return ""


def worse(expected: float, ours: float) -> str:
    """Say how far an objective is above R's; an empty string where it is not."""
    if ours > expected + NO_WORSE * max(abs(expected), 1.0):
        return f"worse: {ours:.10f}, R has {expected:.10f} ({ours - expected:.2e} above)"
    return ""


def summary_mismatch(block: dict[str, Any], ours: pd.Series) -> str:
    """Compare a vector of which the first ten values, the sum and the sum of squares are known."""
    values = ours.to_numpy(dtype=float)
    known = np.array(block["first10"], dtype=float)
    scale = float(np.sqrt(block["sumsq"] / block["n"]))
    if found := mismatch(block["first10"], values[: len(known)].tolist(), ESTIMATES, ESTIMATES * scale):
        return found
    sums = [np.nansum(values), np.nansum(values**2)]
    return mismatch([block["sum"], block["sumsq"]], sums, ESTIMATES, ESTIMATES * scale * block["n"])


def residuals_mismatch(block: dict[str, Any], model: Any) -> str:
    """Compare residuals of every type."""
    for kind, expected in block.items():
        if found := summary_mismatch(expected, model.residuals(kind)):
            return f"{kind}: {found}"
    return ""
