"""What the package maketables asks of a model: its ``__maketables_*__`` protocol, without importing it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.tidy.glance import glance
from mixedmodels.tidy.tidy import tidy

#: Columns of a coefficient table by broom's names.
COLUMNS = {
    "estimate": "b", "std.error": "se", "statistic": "t", "p.value": "p", "conf.low": "ci95l",
    "conf.high": "ci95u",
}  # fmt: skip
#: Columns of :func:`glance` by the keys of statistics, and the labels of both.
STATISTICS = {"N": "nobs", "aic": "AIC", "bic": "BIC", "ll": "logLik", "sigma": "sigma"}
LABELS = {
    "N": "Observations", "aic": "AIC", "bic": "BIC", "ll": "Log-likelihood", "sigma": "Residual SD",
}  # fmt: skip


def coefficient_frame(fit: Fit) -> pd.DataFrame:
    """Return estimates, standard errors, tests and 95 % limits of the fixed effects."""
    table = tidy(fit, "fixed", conf_int=True).set_index("term").rename_axis("Coefficient")
    return table.rename(columns=COLUMNS)[list(COLUMNS.values())]


def statistics_of(fit: Fit) -> dict[str, float | int]:
    """Return the statistics of a fit by key: random effects first, then numbers of levels and criteria."""
    found: dict[str, float | int] = {}
    if isinstance(fit, MixedFit):
        rows = tidy(fit, "ran_pars")
        for group, term, value in zip(rows["group"], rows["term"], rows["estimate"], strict=True):
            if group != "Residual":
                kind, _, name = term.partition("__")
                found[f"{kind}({name} | {group})"] = float(value)
    whole = glance(fit).iloc[0]
    if fit.family() is None:
        found["sigma"] = float(whole["sigma"])
    if isinstance(fit, MixedFit):
        found |= {f"levels({group})": int(n) for group, n in fit.ngrps().items()}
    found["N"] = int(whole["nobs"])
    return found | {k: float(whole[STATISTICS[k]]) for k in ("ll", "aic", "bic") if STATISTICS[k] in whole}


def statistic_labels(keys: Mapping[str, object]) -> dict[str, str]:
    """Return how statistics are named in a table."""
    return {key: LABELS.get(key, key) for key in keys}
