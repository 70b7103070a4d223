"""The rules that turn a printed quantity's name ("se age", "AIC", "rat 1 week 3") into our number."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from mixedmodels.replication.fits import CONTENTS, fit, prepared_data
from mixedmodels.replication.published import PublishedTable

Rule = Callable[..., float]


def our_number(table: PublishedTable, quantity: str) -> float:
    """Compute the number that the table calls `quantity`.

    Raises
    ------
    LookupError
        If no rule knows the quantity, or the model has no such coefficient or variance.
    """
    quantity, scale = _split_scale(quantity)
    label, words = _split_label(table, quantity)
    words = CONTENTS[table.title].words.get(words, words)
    if not CONTENTS[table.title].fits:
        return _first_rule(DATA_RULES, words, table)
    if " v " in words or "(sigma not counted)" in words:
        return _first_rule(COMPARISON_RULES, words, table)
    return scale * _first_rule(MODEL_RULES, words, _fit_of(table, label))


def _split_scale(quantity: str) -> tuple[str, float]:
    """Split "beta1 (x1e+06)" into the quantity and the factor it is printed with."""
    match = re.fullmatch(r"(.*) \(x([\d.e+]+)\)", quantity)
    return (match[1], float(match[2])) if match else (quantity, 1.0)


def _split_label(table: PublishedTable, quantity: str) -> tuple[str, str]:
    """Split "cm6 AIC" or "sigma REML" into the table's name for the fit and the quantity."""
    first, _, rest = quantity.partition(" ")
    start, _, last = quantity.rpartition(" ")
    fits = CONTENTS[table.title].fits
    if rest and first in fits:
        return first, rest
    if start and last in fits and " v " not in quantity:
        return last, start
    return "", quantity


def _fit_of(table: PublishedTable, label: str) -> Any:
    """Return the fitted model that the table calls `label`."""
    return fit(CONTENTS[table.title].fits[label])


def _first_rule(rules: tuple[tuple[str, Rule], ...], quantity: str, subject: Any) -> float:
    """Apply the first rule whose pattern matches the whole quantity."""
    for pattern, rule in rules:
        if match := re.fullmatch(pattern, quantity):
            return float(rule(subject, *match.groups()))
    raise LookupError(f"no rule knows the quantity {quantity!r}")


# Numbers of one model.


def _position(model: Any, name: str) -> int:
    """Return the place of a fixed effect called by its name, or by its number (beta0 is the first)."""
    if re.fullmatch(r"beta\d", name):
        return int(name[4:])
    names = list(model.fixef().index)
    if name not in names:
        raise LookupError(f"there is no coefficient {name!r} among {', '.join(names)}")
    return names.index(name)


def _coefficient(model: Any, name: str) -> float:
    """Return a fixed effect."""
    return float(model.fixef().iloc[_position(model, name)])


def _standard_error(model: Any, name: str) -> float:
    """Return the standard error of a fixed effect."""
    return float(model.standard_errors().iloc[_position(model, name)])


def _wald(model: Any, name: str) -> float:
    """Return estimate / standard error."""
    return _coefficient(model, name) / _standard_error(model, name)


def _p_value(model: Any, name: str) -> float:
    """Return the two-sided p value of the Wald statistic: of a t value with nlme's degrees of freedom."""
    if "z value" in model.summary().coefficients:
        return float(2 * stats.norm.sf(abs(_wald(model, name))))
    return float(2 * stats.t.sf(abs(_wald(model, name)), _denominator_df(model, name)))


def _denominator_df(model: Any, name: str) -> int:
    """Return nlme's denominator degrees of freedom of a coefficient, for one grouping factor.

    Coefficients of columns that vary within groups, and the intercept, are tested within groups, the
    others between groups (Pinheiro & Bates 2000, Mixed-Effects Models in S and S-PLUS, p. 91).
    """
    groups = model.random[0]
    spread = pd.DataFrame(model.design.X).groupby(groups.codes).agg(np.ptp).max().to_numpy()
    within = spread > 0
    if name == "(Intercept)" or within[_position(model, name)]:
        return int(model.nobs() - groups.n_levels - within.sum())
    return int(groups.n_levels - (~within).sum())


def _standard_deviation(model: Any, name: str) -> float:
    """Return the standard deviation called "group", "term" or "group term"."""
    rows = model.VarCorr().to_frame()
    rows = rows[rows["var2"].isna()]
    for group, term, value in zip(rows["grp"], rows["var1"], rows["sdcor"], strict=True):
        if name in (group, term, f"{group} {term}"):
            return float(value)
    raise LookupError(f"there is no variance called {name!r}")


def _variance(model: Any, name: str) -> float:
    """Return the variance named as in `_standard_deviation`."""
    return _standard_deviation(model, name) ** 2


def _correlation(model: Any) -> float:
    """Return the only correlation of the random effects."""
    rows = model.VarCorr().to_frame()
    return float(rows.loc[rows["var2"].notna(), "sdcor"].item())


def _aic_deviance_scale(model: Any) -> float:
    """Return the AIC counted from the saturated model, as lme4 printed it for quadrature."""
    constant = fit("toxo_constant")
    saturated = -2 * constant.loglik() - constant.deviance()
    return float(model.aic() - saturated)


MODEL_RULES: tuple[tuple[str, Rule], ...] = (
    (r"AIC", lambda model: model.aic()),
    (r"BIC", lambda model: model.bic()),
    (r"logLik", lambda model: model.loglik()),
    (r"-2 logLik", lambda model: -2 * model.loglik()),
    (r"deviance", lambda model: model.deviance()),
    (r"REMLdev", lambda model: model.REMLcrit()),
    (r"AIC \(deviance scale\)", _aic_deviance_scale),
    (r"df\.resid", lambda model: model.df_residual()),
    (r"npar", lambda model: model.npar),
    (r"sigma", lambda model: model.sigma()),
    (r"dispersion", lambda model: model.sigma() ** 2),
    (r"Pearson X2", lambda model: np.sum(model.residuals("pearson") ** 2)),
    (r"correlation", _correlation),
    (r"variance (.+)", _variance),
    (r"sd (.+)", _standard_deviation),
    (r"se (.+)", _standard_error),
    (r"[zt] (.+)", _wald),
    (r"p (.+)", _p_value),
    (r"df (.+)", _denominator_df),
    (r"(.+)", _coefficient),
)


# Numbers that compare two models.


def _likelihood_ratio(table: PublishedTable, one: str, other: str) -> tuple[float, int]:
    """Return the likelihood ratio statistic of two nested models and its degrees of freedom."""
    larger, smaller = sorted((_fit_of(table, one), _fit_of(table, other)), key=lambda m: m.df_residual())
    return 2 * (larger.loglik() - smaller.loglik()), smaller.df_residual() - larger.df_residual()


def _f_statistic(table: PublishedTable, larger: str, smaller: str) -> float:
    """Return the F statistic of two nested quasi-likelihood fits, with the dispersion of the larger."""
    large, small = _fit_of(table, larger), _fit_of(table, smaller)
    df = small.df_residual() - large.df_residual()
    return float((small.deviance() - large.deviance()) / df / large.sigma() ** 2)


def _criterion_without_sigma(table: PublishedTable, criterion: str, label: str) -> float:
    """Return the AIC or BIC of a linear mixed model, sigma not counted as a parameter."""
    model = _fit_of(table, label)
    return float(model.aic() - 2 if criterion == "AIC" else model.bic() - np.log(model.nobs()))


COMPARISON_RULES: tuple[tuple[str, Rule], ...] = (
    (r"Chisq (\w+) v (\w+)", lambda table, *labels: max(_likelihood_ratio(table, *labels)[0], 0.0)),
    (r"p (\w+) v (\w+)", lambda table, *labels: stats.chi2.sf(*_likelihood_ratio(table, *labels))),
    (r"F (\w+) v (\w+)", _f_statistic),
    (r"(AIC|BIC) (\w+) \(sigma not counted\)", _criterion_without_sigma),
)


# Numbers of the data themselves.


def _rat(table: PublishedTable, rat: str, week: str) -> float:
    """Return a weight; the printed weeks count from 1, those of the data from 0."""
    data = prepared_data(table.data)
    return float(data.loc[(data["rat"] == rat) & (data["week"] == int(week) - 1), "weight"].item())


def _batch(table: PublishedTable, batch: str, determination: str) -> float:
    """Return a yield by the number of its batch and its place in the batch."""
    data = prepared_data(table.data)
    in_batch = data["Batch"].cat.codes == int(batch) - 1
    return float(data.loc[in_batch, "Yield"].iloc[int(determination) - 1])


DATA_RULES: tuple[tuple[str, Rule], ...] = (
    (r"rat (\d+) week (\d+)", _rat),
    (r"batch (\d+) determination (\d+)", _batch),
)
