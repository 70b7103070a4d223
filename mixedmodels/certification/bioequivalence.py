"""What SPSS prints of average bioequivalence in replicate crossover trials: models A, B and C.

A is least squares, B has a random intercept of the subject, C random effects of both treatments and a
residual variance of each (the model of the FDA).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy import stats

import mixedmodels as mm
from mixedmodels.arrays import FloatArray
from mixedmodels.certification.crossover import crossover
from mixedmodels.certification.fits import run_data
from mixedmodels.certification.numbers import SPSS, Number, f_row, loglikelihood, number, test_row
from mixedmodels.certification.published import PublishedRun
from mixedmodels.certification.repeated_measures import linear_functions
from mixedmodels.errors import IdentificationWarning
from mixedmodels.inference.contrasts import FixedEffects, hypothesis_test
from mixedmodels.inference.fixed_effects import fixed_effects

FIXED = "log(PK) ~ sequence + period + treatment"


def bioequivalence(run: PublishedRun) -> list[Number]:
    """Return every number of the run beside ours."""
    data, printed = run_data(run), run.expected
    found = list(_model_a(data, printed["A"]))
    b = mm.lmer(f"{FIXED} + (1 | subject)", data)
    found += _mixed(b, "B", printed["B"], _deviances_b(b))
    if "published_90ci_percent_method_B" in run.record:
        found += _limits_in_percent(b, run.record["published_90ci_percent_method_B"])
    if "C" in printed:
        with warnings.catch_warnings():
            # Without replicates of the test treatment its two variances cannot be told apart.
            warnings.simplefilter("ignore", IdentificationWarning)
            c = mm.lmer(f"{FIXED} + (0 + treatment | subject)", data, dispersion="ident(treatment)")
        found += _mixed(c, "C", printed["C"], _deviances_c(c))
    return found


def _model_a(data: Any, printed: Mapping[str, Any]) -> Iterator[Number]:
    """Yield the numbers of least squares."""
    fit, hypotheses = crossover(data)
    for row in printed.get("type3", ()):
        ours, label = hypotheses.test(row["effect"]), f"A type III {row['effect']}"
        yield from f_row(label, row, ours, SPSS)
        for name in ("ss", "den_ss", "den_ms"):
            yield from number(f"{label} {name}", row[name], ours[name])
    estimate, se = fit.fixef()["treatmentT"], fit.standard_errors()["treatmentT"]
    half = float(stats.t.isf(0.025, fit.df_residual())) * se
    ours = {
        "treatment_TminusR": estimate,
        "treatment_se": se,
        "lower": estimate - half,
        "upper": estimate + half,
    }
    for name, value in ours.items():
        if name in printed:
            yield from number(f"A {name}", printed[name], value)


def _mixed(
    fit: Any, model: str, printed: Mapping[str, Any], deviances: list[tuple[float, float]]
) -> Iterator[Number]:
    """Yield the numbers of a mixed model."""
    deviance, n = -2.0 * fit.loglik(), fit.nobs() - len(fit.beta)
    k = len(deviances)
    yield from loglikelihood(f"{model} -2 log likelihood", printed["minus2loglik"], deviance, SPSS)
    criteria = {
        "aic": 2.0 * k,
        "aicc": 2.0 * k * n / (n - k - 1),
        "caic": k * (np.log(n) + 1.0),
        "bic": k * np.log(n),
    }
    for name, penalty in criteria.items():
        yield from loglikelihood(f"{model} {name}", printed[name], deviance + float(penalty), SPSS)
    for row, (value, se) in zip(printed["covariance"], deviances, strict=True):
        yield from number(f"{model} {row['name']} estimate", row["estimate"], value)
        yield from number(f"{model} {row['name']} se", row["se"], se)
    fixed = fixed_effects(fit, "satterthwaite")
    yield from _tests(fit, fixed, model, printed)


def _tests(fit: Any, fixed: FixedEffects, model: str, printed: Mapping[str, Any]) -> Iterator[Number]:
    """Yield tests, marginal means and the difference of the treatments."""
    L, labels = _means(fit, "treatment")
    places = {level: k for k, level in enumerate(labels)}
    for row in printed["type3"]:
        label = f"{model} type III {row['effect']}"
        if row["effect"] == "Intercept":
            hypothesis = L.mean(axis=0, keepdims=True)
        else:
            # Degrees of freedom of several rows depend on their basis: SPSS takes differences from the last.
            of_levels, _ = _means(fit, row["effect"])
            hypothesis = of_levels[:-1] - of_levels[-1]
        found = hypothesis_test(fixed, hypothesis)
        ours = {"num_df": len(hypothesis), "den_df": found.df, "f": found.statistic, "p_f": found.p_value}
        yield from f_row(label, row, ours, SPSS)
    level = float(printed.get("lsmeans_level", 0.95))
    for row in printed["lsmeans"]:
        treatment = row["levels"]["treatment"]
        (own,) = linear_functions(fixed, L[[places[treatment]]], level)
        yield from test_row(f"{model} mean of {treatment}", row, own, SPSS)
    for row in printed["differences"]:
        (own,) = linear_functions(fixed, (L[places["T"]] - L[places["R"]])[None], level)
        yield from test_row(f"{model} T - R", row, own, SPSS)


def _means(fit: Any, effect: str) -> tuple[FloatArray, list[str]]:
    """Return the marginal means of an effect as functions of the fixed effects, and its levels."""
    means = fit.emmeans(effect)
    return means.functions.L[:, means.functions.basis.kept], means.functions.labels[effect].astype(
        str
    ).tolist()


def _deviances_b(fit: Any) -> list[tuple[float, float]]:
    """Return the variances of residuals and subjects, with standard errors from the observed information."""
    sigma, theta = fit.sigma(), float(fit.theta().iloc[0])
    W = fit.parameter_covariance.of_theta_and_sigma()
    J = np.array([[0.0, 2.0 * sigma], [2.0 * theta * sigma**2, 2.0 * sigma * theta**2]])
    se = np.sqrt((J @ W @ J.T).diagonal()).tolist()
    return list(zip((sigma**2, theta**2 * sigma**2), se, strict=True))


def _deviances_c(fit: Any) -> list[tuple[float, float]]:
    """Return the variances of the residuals, of the random effects, and the correlation, as SPSS has them."""
    table = fit.covariance_parameters()
    pairs = list(zip(table["estimate"], table["std.error"], strict=True))
    labels = [(str(name), str(group)) for name, group in zip(table.index, table["group"], strict=True)]
    wanted = [
        ("Residual", "R"),
        ("Residual", "T"),
        ("Var(treatmentR)", "subject"),
        ("Var(treatmentT)", "subject"),
        next(label for label in labels if label[0].startswith("Corr")),
    ]
    return [pairs[labels.index(label)] for label in wanted]


def _limits_in_percent(fit: Any, printed: Mapping[str, str]) -> Iterator[Number]:
    """Yield the limits of the ratio of the treatments, the result of the trial."""
    place = list(fit.fixef().index).index("treatmentT")
    (own,) = linear_functions(fixed_effects(fit, "satterthwaite"), np.eye(len(fit.beta))[[place]], 0.90)
    for name in ("lower", "upper"):
        yield from number(f"B ratio in percent {name}", printed[name], 100.0 * float(np.exp(own[name])))
