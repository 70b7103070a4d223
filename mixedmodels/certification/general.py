"""What SPSS and Metida print of mixed models with structures of random effects and residuals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from mixedmodels.certification.fits import run_data
from mixedmodels.certification.numbers import SPSS, Number, loglikelihood, number, test_row
from mixedmodels.certification.published import PublishedRun
from mixedmodels.certification.repeated_measures import linear_functions
from mixedmodels.inference.fixed_effects import fixed_effects

#: A likelihood printed in few digits may be rounded either way.
FEW_DIGITS = 3


def _factor(data: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the data with one column as a factor, levels in the order of the text."""
    return data.assign(**{name: pd.Categorical(data[name].astype(int).astype(str))})


def _ordered(data: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows with the levels of a column in the order of the alphabet, as SPSS took them."""
    levels = sorted(data[name].astype(str).unique())
    return data.assign(**{name: pd.Categorical(data[name].astype(str), levels, ordered=True)})


#: How each model is fitted here.
FITS: Mapping[str, Callable[[pd.DataFrame], Any]] = {
    "model01": lambda d: mm.lmer("Reaction ~ Days + (1 | Subject)", _factor(d, "Days")),
    "model03": lambda d: mm.lmer("Reaction ~ 1 + cs(0 + Days | Subject)", _factor(d, "Days")),
    "model04": lambda d: mm.lmer("Reaction ~ 1 + ar1(0 + Days | Subject, hom = FALSE)", _factor(d, "Days")),
    # Of three levels an ARMA(1, 1) process has two correlations, and is Toeplitz.
    "model06": lambda d: mm.lmer("strength ~ 1 + toep(0 + cask | batch, hom = TRUE)", d),
    "model07": lambda d: mm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", d),
    "model08": lambda d: mm.lmer("Pulse ~ 1 + (1 | Time)", _ordered(d, "Day"), residual="ar1(Day | Time)"),
    "test_df1_fda": lambda d: mm.lmer(
        "var ~ sequence + period + formulation + (0 + formulation | subject)",
        d,
        dispersion="ident(formulation)",
    ),
    "test_ftdf3_ar_diag": lambda d: mm.lmer(
        "response ~ factor + ar1(0 + r1 | subject)", d, dispersion="ident(p)"
    ),
    "test_ftdf3_arh_nrho": lambda d: mm.lmer("nrhoresp ~ factor + ar1(0 + r1 | s2:factor, hom = FALSE)", d),
    "test_ftdf3_toep": lambda d: mm.lmer("response ~ factor + toep(0 + r1 | subject, hom = TRUE)", d),
    "test_un_repeated": lambda d: mm.gls("val ~ 1", d, residual="us(group | id)"),
    "test_un_repeated_missing": lambda d: mm.gls("mval ~ 1", d, residual="us(group | id)"),
}


def general(run: PublishedRun) -> list[Number]:
    """Return every number of the run beside ours."""
    fit, printed = FITS[run.name](run_data(run)), run.expected
    deviance = -2.0 * fit.loglik()
    found: list[Number] = []
    for name in ("minus2loglik", "metida_minus2loglik"):
        if name in printed:
            few = len(printed[name].partition(".")[2]) <= FEW_DIGITS
            compared = number if few else _likelihood
            found += compared("-2 log likelihood", printed[name], deviance)
    found += _covariances(fit, printed.get("covariance", ()))
    fixed = fixed_effects(fit, "satterthwaite")
    ours = dict(zip(fixed.names, linear_functions(fixed, np.eye(len(fixed.names))), strict=True))
    for row in printed.get("fixed", ()):
        found += test_row("Intercept", row, ours["(Intercept)"], SPSS)
    for name, df in printed.get("satterthwaite_df", {}).items():
        own = ours[next(label for label in fixed.names if label.startswith(name))]["df"]
        found += number(f"{name} df", df, own, SPSS.df * own)
    return found


def _likelihood(quantity: str, printed: str, ours: float) -> list[Number]:
    return loglikelihood(quantity, printed, ours, SPSS)


def _covariances(fit: Any, rows: Any) -> Iterator[Number]:
    """Yield variances by group, or those and correlations of an unstructured residual covariance."""
    for row in rows:
        name = row["name"]
        if name.startswith(("variance of level", "correlation")):
            R = _unstructured(fit)
            i, j = PLACES[name]
            scale = np.sqrt(R[i, i] * R[j, j]) if i != j else 1.0
            yield from number(name, row["estimate"], R[i, j] / scale)
        else:
            table = fit.VarCorr().to_frame().set_index("grp")
            yield from number(f"variance {name}", row["estimate"], float(table.loc[name, "vcov"]))


#: What is meant by the parameters of Metida's unstructured covariance: row and column.
PLACES = {
    "variance of level 1": (0, 0),
    "variance of level 4": (3, 3),
    "correlation, 5th parameter": (1, 0),
    "correlation, 9th parameter": (3, 1),
}


def _unstructured(fit: Any) -> Any:
    """Return the covariance of the four levels."""
    R = np.zeros((4, 4))
    table = fit.covariance_parameters()
    i, j = np.tril_indices(4)
    R[i, j] = R[j, i] = table["estimate"].to_numpy()
    return R
