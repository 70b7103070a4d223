"""Our value of each quantity that a case or reference may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

Arguments = Mapping[str, Any]
Quantity = Callable[[Any, Arguments], Any]


def objective(model: Any) -> float:
    """Return the REML criterion or -2 log-likelihood, whichever the model minimised."""
    return -2 * float(model.loglik())


def standard_errors(model: Any, **options: Any) -> dict[str, float]:
    """Return the standard errors of the fixed effects by name."""
    vcov = model.vcov(**options)
    return dict(zip(model.fixef().index, np.sqrt(np.diag(vcov)), strict=True))


def varcorr(model: Any) -> list[dict[str, Any]]:
    """Return the standard deviations and correlations of each term, in the order of printing."""
    frame = model.VarCorr().to_frame()
    terms = []
    for group, rows in frame[frame["grp"] != "Residual"].groupby("grp", sort=False):
        single = rows[rows["var2"].isna()]
        names = single["var1"].tolist()
        corr = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
        for row in rows[rows["var2"].notna()].itertuples():
            corr.loc[row.var1, row.var2] = corr.loc[row.var2, row.var1] = row.sdcor
        terms.append({"group": group, "sd": dict(zip(names, single["sdcor"], strict=True)), "corr": corr})
    return terms


def covariance(model: Any) -> np.ndarray:
    """Return the covariance matrix of the only term."""
    term = varcorr(model)[0]
    sd = np.array(list(term["sd"].values()))
    return sd[:, None] * term["corr"].to_numpy() * sd[None, :]


def ranef_tables(model: Any) -> dict[str, pd.DataFrame]:
    """Return the random effects, a frame (levels by terms) for each grouping factor."""
    effects = model.ranef()
    return {group: effects[group] for group in effects}


def conditional_sd(model: Any) -> dict[str, pd.DataFrame]:
    """Return the conditional standard deviations, a frame (levels by terms) for each grouping factor."""
    frame = model.ranef().to_frame()
    return {
        group: rows.pivot(index="grp", columns="term", values="condsd")
        for group, rows in frame.groupby("grpvar", sort=False, observed=True)
    }


def conditional_variances(model: Any) -> dict[str, Any]:
    """Return the conditional variances of scalar terms, in the order of the levels."""
    levels = {group: list(map(str, table.index)) for group, table in ranef_tables(model).items()}
    return {
        group: (table.set_axis(table.index.astype(str)).loc[levels[group]] ** 2).iloc[:, 0].tolist()
        for group, table in conditional_sd(model).items()
    }


def prediction(model: Any, args: Arguments) -> np.ndarray:
    """Return predictions for the rows in `args`, on the scale of the linear predictor."""
    options: dict[str, Any] = {}
    if "newdata" in args:
        options["newdata"] = pd.DataFrame(args["newdata"])
    re_form = args.get("re_form")
    if isinstance(re_form, str):
        options["re_form"] = False if re_form.startswith("none") else re_form
    if "allow_new_levels" in args:
        options["allow_new_levels"] = args["allow_new_levels"]
    return np.asarray(model.predict(**options), dtype=float)


def residual_range(model: Any, args: Arguments) -> list[float]:
    """Return the smallest and largest residual."""
    residuals = np.asarray(model.residuals(**args))
    return [residuals.min(), residuals.max()]


def model_structure(model: Any) -> dict[str, Any]:
    """Return the columns of X and the shape of the random part, terms as lme4 orders them."""
    terms = sorted(model.design.random, key=lambda term: -len(term.levels))
    return {
        "x_columns": list(model.design.fixed_names),
        "cnms": [{"group": term.group, "terms": list(term.names)} for term in terms],
        "flist": list(dict.fromkeys(term.group for term in terms)),
        "nlevels": {term.group: len(term.levels) for term in terms},
        "n_fixed": len(model.design.fixed_names),
    }


VALUES: dict[str, Quantity] = {
    "objective": lambda m, a: objective(m),
    "objective_max": lambda m, a: objective(m),
    "loglik": lambda m, a: m.loglik(),
    "aic": lambda m, a: m.aic(),
    "bic": lambda m, a: m.bic(),
    "npar": lambda m, a: m.nobs() - m.df_residual(),
    "df_residual": lambda m, a: m.df_residual(),
    "nobs": lambda m, a: m.nobs(),
    "ngroups": lambda m, a: m.ngrps(),
    "fixef": lambda m, a: m.fixef(),
    "theta": lambda m, a: m.theta(),
    "sigma": lambda m, a: m.sigma(),
    "stderr": lambda m, a: standard_errors(m),
    "stderr_rx": lambda m, a: standard_errors(m, use_hessian=False),
    "vcov": lambda m, a: m.vcov(),
    "t_values": lambda m, a: (m.fixef() / pd.Series(standard_errors(m))).tolist(),
    "varcorr": lambda m, a: varcorr(m),
    "varcov": lambda m, a: {"values": covariance(m)},
    "group_variance": lambda m, a: covariance(m)[0, 0],
    "is_singular": lambda m, a: m.is_singular(),
    "ranef": lambda m, a: ranef_tables(m),
    "ranef_head": lambda m, a: ranef_tables(m),
    "ranef_columns": lambda m, a: list(next(iter(ranef_tables(m).values())).columns),
    "ranef_condvar": lambda m, a: conditional_variances(m),
    "coef_columns": lambda m, a: list(m.coef()[a["group"]].columns),
    "fitted_head": lambda m, a: np.asarray(m.fitted())[:6],
    "deviance_residual_sum": lambda m, a: np.sum(m.residuals("deviance") ** 2),
    "residual_range": residual_range,
    "predict": prediction,
    "predict_head": lambda m, a: prediction(m, a)[:6],
    "fixef_names": lambda m, a: list(m.fixef().index),
    "model_structure": lambda m, a: model_structure(m),
}
