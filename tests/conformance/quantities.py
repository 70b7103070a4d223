"""Our value of each quantity that a case or reference may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import mixedmodels as mm
from mixedmodels.engines.generalized import problem_from_data as generalized
from mixedmodels.engines.linear import reml as profiled
from mixedmodels.inference.fixed_effects import fixed_effects
from mixedmodels.inference.term_tests import F_COLUMNS, f_test_rows
from mixedmodels.models.linear import LinearMixedModel

Arguments = Mapping[str, Any]
Quantity = Callable[[Any, Arguments], Any]


def objective(model: Any) -> float:
    """Return the REML criterion or -2 log-likelihood, whichever the model minimised."""
    return -2 * float(model.loglik())


def rx_errors(model: Any) -> dict[str, float]:
    """Return the standard errors of the fixed effects from the factor alone, by name."""
    errors = np.sqrt(np.diag(model.vcov(method="rx")))
    return dict(zip(model.fixef().index, errors, strict=True))


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


def conditional_variances(model: Any) -> dict[str, Any]:
    """Return the conditional variances.

    By factor, those of its first column; by column, that of the first level of the first factor.
    """
    tables = model.ranef().condsd
    by_column = (next(iter(tables.values())).iloc[0] ** 2).to_dict()
    return by_column | {group: (table.iloc[:, 0] ** 2).tolist() for group, table in tables.items()}


def first_conditional_covariance(model: Any, args: Arguments) -> pd.DataFrame:
    """Return the conditional covariance matrix of one level."""
    term = next(term for term in model.random if term.group == args["group"])
    matrix = model.ranef().condvar[term.label][term.levels.index(args["level"])]
    return pd.DataFrame(matrix, index=list(term.columns), columns=list(term.columns))


def drop1_table(model: Any) -> dict[str, list[Any]]:
    """Return the table of single-term deletions by column."""
    table = mm.drop1(model).rename(columns={"Pr(Chi)": "p"})
    return {"rows": list(table.index)} | {column: table[column].tolist() for column in table.columns}


def correlation(covariance: pd.DataFrame) -> pd.DataFrame:
    """Return the correlation matrix that belongs to a covariance matrix."""
    sd = np.sqrt(np.diag(covariance))
    return covariance / np.outer(sd, sd)


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


def model_structure(design: Any) -> dict[str, Any]:
    """Return the columns of X and the shape of the random part, terms in lme4's order."""
    terms = design.random
    return {
        "x_columns": list(design.x_names),
        "cnms": [{"group": term.group, "terms": list(term.columns)} for term in terms],
        "flist": list(dict.fromkeys(term.group for term in terms)),
        "nlevels": {term.group: term.n_levels for term in terms},
        "theta_names": [
            f"{t.group}.{name}" for t in terms for name in t.structure.parameter_names(t.columns)
        ],
        "lower": ["0" if bound else "-inf" for t in terms for bound in t.structure.is_lower_bound()],
        "Zt_dim": [sum(term.size * term.n_levels for term in terms), design.n_rows],
        "n_fixed": len(design.x_names),
    }


def structure_names(model: Any) -> dict[str, str]:
    """Return lme4's name of the covariance structure of each term, "hom" before it if homogeneous."""
    names = {}
    for term in model.random:
        homogeneous = getattr(term.structure, "homogeneous", False)
        names[term.group] = ("hom" if homogeneous else "") + term.structure.name
    return names


def poisson_objective_without_saturated(model: Any) -> float:
    """Return -2 log-likelihood relative to the saturated Poisson model, lme4 1.x's scale for quadrature."""
    return objective(model) + 2 * float(stats.poisson.logpmf(model.y, model.y).sum())


def objective_at(model: Any, parameters: Any, REML: bool | None = None) -> float:
    """Return the objective at other parameters: theta if the model is linear, else (theta, beta)."""
    values = np.atleast_1d(np.asarray(parameters, dtype=float))
    if isinstance(model, LinearMixedModel):
        return profiled.evaluate(model.problem, values, model.is_reml if REML is None else REML)
    return generalized.evaluate_at(model.problem, values, model.estimates.nAGQ)


def term_table(model: Any, args: Arguments) -> pd.DataFrame:
    """Return lmerTest's table of tests of terms; its "lme4" is None here."""
    ddf = args.get("ddf", "default")
    return mm.anova(model, type=args.get("type"), ddf=None if ddf == "lme4" else ddf)


def contest(model: Any, args: Arguments) -> pd.DataFrame:
    """Return lmerTest's joint F test of the rows of L."""
    L = np.array(args["L"], dtype=float)
    values = f_test_rows(fixed_effects(model), {"1": L}, model.sigma())
    return pd.DataFrame(values, index=["1"], columns=list(F_COLUMNS))


def kr_modcomp(model: Any, args: Arguments) -> dict[str, float]:
    """Return pbkrtest's comparison with the model that lacks a variable."""
    small = mm.update(model, f". ~ . - {args['small'].removeprefix('drop ')}")
    row = mm.kr_modcomp(model, small).loc["Ftest"]
    return dict(zip(("Fstat", "ndf", "ddf", "F.scaling", "p"), row, strict=True))


def ls_means(model: Any, args: Arguments) -> pd.DataFrame:
    """Return lmerTest's least-squares means of a factor, which are averages over levels, equally weighted."""
    table = mm.emmeans(model, args["which"], ddf="satterthwaite").to_frame()
    table["t value"] = table["emmean"] / table["SE"]
    names = {"emmean": "Estimate", "SE": "Std. Error", "lower.CL": "lower", "upper.CL": "upper"}
    return table.rename(columns=names).set_axis([f"{args['which']}{x}" for x in table[args["which"]]])


def is_reproducible(model: Any, args: Arguments) -> bool:
    """Tell whether the bootstrap of a seed is the same a second time."""
    runs = [mm.bootstrap(model, nsim=4, rng=args["seed"]).replicates for _ in range(2)]
    return bool(np.array_equal(*runs))


def is_nested(model: Any, args: Arguments) -> bool:
    """Tell whether bootstrap intervals of a lower level lie in those of a higher one."""
    bootstrap = mm.bootstrap(model, nsim=40, rng=1)
    inner, outer = (bootstrap.confint(level=level).to_numpy() for level in args["levels"])
    return bool(np.all(outer[:, 0] <= inner[:, 0]) and np.all(inner[:, 1] <= outer[:, 1]))


def pca_proportions(model: Any, args: Arguments) -> dict[str, list[float]]:
    """Return the share of the variance that each principal component of the random effects has."""
    found = mm.rePCA(model)
    return {group: found[group].importance.loc["Proportion of Variance"].tolist() for group in found}


VALUES: dict[str, Quantity] = {
    "kr_modcomp": kr_modcomp,
    "ls_means": ls_means,
    "bootstrap_reproducible": is_reproducible,
    "bootstrap_ci_nested": is_nested,
    "repca_proportions": pca_proportions,
    "cooks_distance_head": lambda m, a: m.cooks_distance().iloc[: a["n"]].tolist(),
    "rstudent_head": lambda m, a: m.rstudent().iloc[:6].tolist(),
    "coef_table": lambda m, a: m.summary(ddf=a["ddf"].lower()).coefficients,
    "anova": term_table,
    "anova_F": lambda m, a: term_table(m, a)["F value"].tolist(),
    "contest": contest,
    "ranova": lambda m, a: mm.ranova(m),
    "objective": lambda m, a: objective(m),
    "objective_max": lambda m, a: objective(m),
    "objective_at_theta": lambda m, a: objective_at(m, a["theta"], a["REML"]),
    "objective_lme4_1x": lambda m, a: poisson_objective_without_saturated(m),
    "nb_theta": lambda m, a: float(m.phi[0]),
    "loglik": lambda m, a: m.loglik(),
    "aic": lambda m, a: m.aic(),
    "bic": lambda m, a: m.bic(),
    "npar": lambda m, a: m.npar,
    "df_residual": lambda m, a: m.df_residual(),
    "nobs": lambda m, a: m.nobs(),
    "ngroups": lambda m, a: m.ngrps(),
    "fixef": lambda m, a: m.fixef(),
    "theta": lambda m, a: m.theta().tolist(),
    "re_sd_unscaled": lambda m, a: m.theta().tolist(),
    "sigma": lambda m, a: m.sigma(),
    "stderr": lambda m, a: m.standard_errors(),
    "stderr_rx": lambda m, a: rx_errors(m),
    "hatvalues_sum": lambda m, a: m.hatvalues().sum(),
    "hatvalues_head": lambda m, a: m.hatvalues().iloc[:6].tolist(),
    "predict_se_head": lambda m, a: m.predict(se_fit=True)["se_fit"].iloc[:6].tolist(),
    "confint": lambda m, a: m.confint(parm=a.get("parm"), method=a["method"]),
    "varcorr_structures": lambda m, a: structure_names(m),
    "vcov": lambda m, a: m.vcov(),
    "t_values": lambda m, a: (m.fixef() / m.standard_errors()).tolist(),
    "varcorr": lambda m, a: varcorr(m),
    "varcov": lambda m, a: {"values": covariance(m)},
    "group_variance": lambda m, a: covariance(m)[0, 0],
    "is_singular": lambda m, a: m.is_singular(),
    "ranef": lambda m, a: m.ranef(),
    "ranef_head": lambda m, a: m.ranef(),
    "ranef_columns": lambda m, a: list(next(iter(m.ranef().values())).columns),
    "ranef_condvar": lambda m, a: conditional_variances(m),
    "ranef_condvar_first": first_conditional_covariance,
    "coef_columns": lambda m, a: list(m.coef()[a["group"]].columns),
    "fitted_head": lambda m, a: np.asarray(m.fitted())[:6],
    "deviance_residual_sum": lambda m, a: np.sum(m.residuals("deviance") ** 2),
    "residual_range": residual_range,
    "predict": prediction,
    "predict_head": lambda m, a: prediction(m, a)[:6],
    "fixef_names": lambda m, a: list(m.fixef().index),
    "fixef_names_add_dropped": lambda m, a: list(m.fixef(add_dropped=True).index),
    "predict_na_count": lambda m, a: int(np.isnan(prediction(m, a)).sum()),
    "predict_length": lambda m, a: len(prediction(m, a)),
    "simulate_shape": lambda m, a: list(m.simulate(a["nsim"]).shape),
    "simulate_seed_reproducible": lambda m, a: m.simulate(seed=a["seed"]).equals(m.simulate(seed=a["seed"])),
    "drop1": lambda m, a: drop1_table(m),
    "fixef_correlation": lambda m, a: correlation(m.vcov()),
}
