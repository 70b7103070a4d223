"""Covariance parameters as SAS prints them: variances, covariances, correlations and their limits.

Names, order and limits are those of PROC MIXED: a variance or a range, which is bounded by zero, has limits
of a chi-square distribution (Satterthwaite 1946), a covariance or a correlation those of a normal one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.residual.variance import Ident
from mixedmodels.differences import jacobian
from mixedmodels.engines.residual.model import Parameters
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.formula.design.residual import ResidualDesign
from mixedmodels.formula.language.syntax_tree import deparse
from mixedmodels.inference.covariance_parameters import deviation_parts, deviations

#: Half the distance of first differences in free coordinates.
STEP = 1e-5
#: SAS's names of correlations: of structures with a variance for each level, and with one variance.
BY_LEVEL = {"cs": "CSH", "ar1": "ARH(1)", "toep": "TOEPH({})", "ante": "Rho({})"}
OF_ONE_VARIANCE = {
    "ar1": "AR(1)",
    "exp": "SP(EXP)",
    "gau": "SP(GAU)",
    "sp_pow": "SP(POW)",
    "spher": "SP(SPH)",
}
#: Structures with one variance whose parameters are covariances in SAS.
COVARIANCES = {"cs": "CS", "toep": "TOEP({})"}
#: Correlation functions whose first parameter is a range, bounded by zero.
WITH_RANGE = ("exp", "gau", "spher", "mat", "lin", "ratio")


@dataclass(frozen=True, slots=True)
class _Parameter:
    """One parameter: its name, group and value, and whether zero bounds it."""

    name: str
    group: str
    value: float
    bounded: bool


def sas_parameters(fit: StructuredResiduals, level: float) -> pd.DataFrame:
    """Return the covariance parameters of a fit with structured residuals, standard errors and limits.

    Parameters
    ----------
    fit : StructuredResiduals
        The fit.
    level : float
        Confidence level.

    Returns
    -------
    DataFrame
        One row a parameter: group, estimate, standard error and limits, by name.
    """
    model, free = fit.residual_problem.model, fit.residual_estimates.free
    at = fit.observed_covariance_information
    moving = np.append(at.moving, True)
    W = np.zeros((len(moving), len(moving)))
    W[np.ix_(moving, moving)] = at.W

    def parameters(x: FloatArray) -> list[_Parameter]:
        return _parameters(fit, model.natural(x[:-1]), fit.sigma() ** 2 * float(np.exp(x[-1])))

    def values(x: FloatArray) -> FloatArray:
        return np.array([p.value for p in parameters(x)])

    x = np.append(free, 0.0)
    J = jacobian(values, x, np.full(len(x), STEP))
    se = np.sqrt(np.einsum("ij,jk,ik->i", J, W, J))
    found = parameters(x)
    limits = [_limits(p, own, level) for p, own in zip(found, se.tolist(), strict=True)]
    return pd.DataFrame(
        {
            "group": [p.group for p in found],
            "estimate": [p.value for p in found],
            "std.error": se,
            "lower": [lower for lower, _ in limits],
            "upper": [upper for _, upper in limits],
        },
        index=pd.Index([p.name for p in found], name="parameter"),
    )


def _limits(parameter: _Parameter, se: float, level: float) -> tuple[float, float]:
    """Return limits of chi-square for a parameter bounded by zero, otherwise normal ones; NaN at a bound."""
    if not se > 0.0:
        return np.nan, np.nan
    tail = 0.5 * (1.0 - level)
    if not parameter.bounded:
        half = -float(special.ndtri(tail)) * se
        return parameter.value - half, parameter.value + half
    df = 2.0 * (parameter.value / se) ** 2
    above, below = float(special.chdtri(df, tail)), float(special.chdtri(df, 1.0 - tail))
    # Of a parameter that is not known at all the distribution has no quantiles that a number could hold.
    lower = df * parameter.value / above if above > 0.0 else 0.0
    return lower, df * parameter.value / below if below > 0.0 else np.inf


def _parameters(fit: StructuredResiduals, at: Parameters, sigma2: float) -> list[_Parameter]:
    """Return all parameters at natural ones and a variance."""
    found = _of_random_effects(fit, at.theta, sigma2)
    residual, delta = fit.design.residual, list(at.delta)
    if residual is None:
        return found + _without_structure(fit, delta, sigma2)
    ratios = delta.pop(0) if residual.variance is not None else np.empty(0)
    variances = sigma2 * np.concatenate([[1.0], ratios]) ** 2
    cells = _cells(residual)
    grouped = residual.call.arm is not None
    arms = "" if residual.call.arm is None else deparse(residual.call.arm)
    for arm, name in enumerate(residual.arm_names):
        rho = at.rho[residual.parameters.of_arm(arm)]
        own = {level: float(variances[cell]) for (a, level), cell in cells.items() if a == arm}
        found += _of_arm(residual, rho, own, f"{arms} {name}" if grouped else "")
    for term, values in zip(fit.design.dispersion, delta, strict=True):
        names = term.function.parameter_names()
        found += [_Parameter(n, "", float(v), False) for n, v in zip(names, values, strict=True)]
    return found


def _of_random_effects(fit: StructuredResiduals, theta: FloatArray, sigma2: float) -> list[_Parameter]:
    """Return variances and correlations of the random effects."""
    values = deviations(fit.random, theta[None], np.array([np.sqrt(sigma2)]))[0]
    found = []
    for (group, name), value in zip(deviation_parts(fit.random), values.tolist(), strict=True):
        is_sd = name.startswith("sd_")
        label = f"Var({name[3:]})" if is_sd else f"Corr({name[4:]})"
        found.append(_Parameter(label, group, value**2 if is_sd else value, is_sd))
    return found


def _without_structure(fit: StructuredResiduals, delta: list[FloatArray], sigma2: float) -> list[_Parameter]:
    """Return the variances of independent residuals: of each level where there is one function of levels."""
    functions = [term.function for term in fit.design.dispersion]
    if len(functions) == 1 and isinstance(functions[0], Ident):
        variances = sigma2 * np.concatenate([[1.0], delta[0]]) ** 2
        levels = functions[0].levels
        return [_Parameter("Residual", n, float(v), True) for n, v in zip(levels, variances, strict=True)]
    found = [_Parameter("Residual", "", sigma2, True)]
    for function, values in zip(functions, delta, strict=True):
        names = function.parameter_names()
        found += [_Parameter(n, "", float(v), False) for n, v in zip(names, values, strict=True)]
    return found


def _cells(residual: ResidualDesign) -> dict[tuple[int, int], int]:
    """Return arm and level -> place of its variance, of those that have rows; level 0 where there is one."""
    arms = residual.arms[residual.codes]
    by_level = residual.call.heterogeneous or residual.structure.name == "us"
    levels = residual.positions.astype(np.intp) if by_level else np.zeros(len(arms), dtype=np.intp)
    places = (
        np.zeros(len(arms), dtype=np.intp) if residual.variance is None else residual.variance.columns.strata
    )
    triples = np.unique(np.column_stack([arms, levels, places]), axis=0)
    return {(a, k): place for a, k, place in triples.tolist()}


def _of_arm(
    residual: ResidualDesign, rho: FloatArray, variances: dict[int, float], group: str
) -> list[_Parameter]:
    """Return the parameters of one arm, by the variances of its levels."""
    name = residual.structure.name
    if name == "us":
        return _unstructured(residual, rho, variances, group)
    if residual.call.heterogeneous:
        found = [_Parameter(f"Var({k + 1})", group, v, True) for k, v in enumerate(variances.values())]
        return found + _correlations(residual, rho, BY_LEVEL, group)
    variance = next(iter(variances.values()))
    if name in COVARIANCES:
        label = COVARIANCES[name].format
        own = [_Parameter(label(k + 2), group, variance * r, False) for k, r in enumerate(rho.tolist())]
        left = variance * (1.0 - rho[0]) if name == "cs" else variance
    else:
        own, left = _correlations(residual, rho, OF_ONE_VARIANCE, group), variance
    if group:
        return [_Parameter("Variance", group, float(left), True), *own]
    return [*own, _Parameter("Residual", group, float(left), True)]


def _unstructured(
    residual: ResidualDesign, rho: FloatArray, variances: dict[int, float], group: str
) -> list[_Parameter]:
    """Return variances and covariances, the lower triangle by rows."""
    levels = list(variances)
    C = residual.structure.correlation(rho, np.array(levels)[None])[0]
    sd = np.sqrt(list(variances.values()))
    return [
        _Parameter(f"UN({i + 1},{j + 1})", group, float(C[i, j] * sd[i] * sd[j]), i == j)
        for i in range(len(levels))
        for j in range(i + 1)
    ]


def _correlations(
    residual: ResidualDesign, rho: FloatArray, names: dict[str, str], group: str
) -> list[_Parameter]:
    """Return the parameters of the correlation, by SAS's names where it has the structure."""
    structure = residual.structure
    labels = list(structure.parameter_names())
    pattern = names.get(structure.name, "")
    if pattern and (len(rho) == 1 or "{}" in pattern):
        labels = [pattern.format(k + 1) for k in range(len(rho))]
    return [
        _Parameter(label, group, value, k == 0 and structure.name in WITH_RANGE)
        for k, (label, value) in enumerate(zip(labels, rho.tolist(), strict=True))
    ]
