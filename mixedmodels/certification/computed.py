"""Runs that nobody published, or that are quoted from memory and were computed again by other programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from mixedmodels.certification.fits import fit_mmrm
from mixedmodels.certification.numbers import Number
from mixedmodels.certification.published import PublishedRun
from mixedmodels.certification.repeated_measures import linear_functions, repeated_measures
from mixedmodels.inference.fixed_effects import fixed_effects

#: Ten printed digits of an optimum: what agrees to this share agrees.
RELATIVE, RELATIVE_DF = 1e-6, 1e-5


def computed(run: PublishedRun) -> list[Number]:
    """Return every number of the run beside ours."""
    if run.expected:
        return repeated_measures(_with_names(run))
    return list(_large(run))


def _with_names(run: PublishedRun) -> PublishedRun:
    """Return the run with its coefficients named by effect and levels, as the other runs name them."""
    rows = [
        {
            **row,
            "effect": row["effect"].replace("SexFemale", "Sex").replace(":", "*"),
            "levels": {"Sex": "Female"},
        }
        if "Sex" in row["effect"]
        else row
        for row in run.expected["fixed"]
    ]
    return replace(run, record={**run.record, "expected": {**run.expected, "fixed": rows}})


def _large(run: PublishedRun) -> Iterator[Number]:
    """Yield the numbers of the large trial: 1000 subjects, ten visits."""
    optimum, fit = run.optimum, fit_mmrm(run)
    yield _beside("n_obs", optimum["n_obs"], fit.nobs(), 0.0)
    yield _beside("-2 log likelihood", optimum["minus2loglik"], -2.0 * fit.loglik(), 1e-6)
    table = fit.covariance_parameters()["estimate"]
    variances = np.array([table[f"UN({k},{k})"] for k in range(1, 11)])
    lower = zip(*np.tril_indices(10), strict=True)
    for (i, j), name, printed in zip(lower, table.index, optimum["covariance_lower_by_rows"], strict=True):
        yield _beside(str(name), printed, table[name], RELATIVE * float(np.sqrt(variances[i] * variances[j])))
    by_method = {ddf: fixed_effects(fit, ddf) for ddf in ("satterthwaite", "kenward-roger")}
    names = by_method["satterthwaite"].names
    rows = [(row["name"], np.eye(len(names))[names.index(row["name"])], row) for row in optimum["fixed"]]
    rows += [
        (f"treatment at {row['visit']}", _at_visit(names, row["visit"]), row)
        for row in optimum["treatment_at_visit"]
    ]
    L = np.array([weights for _, weights, _ in rows])
    ours = {ddf: linear_functions(fixed, L) for ddf, fixed in by_method.items()}
    for k, (label, _, row) in enumerate(rows):
        own, kr = ours["satterthwaite"][k], ours["kenward-roger"][k]
        yield _beside(f"{label} estimate", row["estimate"], own["estimate"], RELATIVE * own["se"])
        yield _beside(f"{label} se", row["se"], own["se"], RELATIVE * own["se"])
        yield _beside(f"{label} df", row["df"], own["df"], RELATIVE_DF * own["df"])
        yield _beside(f"{label} se_kr", row["se_kr"], kr["se"], RELATIVE * kr["se"])


def _at_visit(names: tuple[str, ...], visit: str) -> Any:
    """Return the difference of the arms at a visit as a function of the fixed effects."""
    wanted = {"ARMCDTRT", f"AVISIT{visit}:ARMCDTRT", f"ARMCDTRT:AVISIT{visit}"}
    return np.array([float(name in wanted) for name in names])


def _beside(quantity: str, printed: float, ours: float, slack: float) -> Number:
    return Number(quantity, repr(printed), float(ours), slack, slack)
