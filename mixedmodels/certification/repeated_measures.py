"""What PROC MIXED prints of a model for repeated measures, computed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import mixedmodels as mm
from mixedmodels.arrays import FloatArray
from mixedmodels.certification.fits import fit_mmrm, run_data
from mixedmodels.certification.numbers import (
    SAS,
    Number,
    column,
    f_row,
    loglikelihood,
    matrix,
    number,
    test_row,
)
from mixedmodels.certification.published import PublishedRun, published_rows
from mixedmodels.inference.contrasts import FixedEffects, contrast_tests, quantiles
from mixedmodels.inference.fixed_effects import fixed_effects
from mixedmodels.inference.kenward_roger import KenwardRoger
from mixedmodels.inference.structured import BetweenWithin

#: The program's names of a model's degrees of freedom and covariance -> ours.
VCOV = {"model": None, "empirical": "CR0", "kenward-roger": None, "kenward-roger-linear": None}
LEVEL = 0.95


def repeated_measures(run: PublishedRun) -> list[Number]:
    """Return every number of the run beside ours."""
    if not run.record.get("converged", True):
        return list(_counts_of_data(run))
    fit = fit_mmrm(run)
    fixed = fixed_effects(fit, run.record["ddf"], VCOV[run.record["vcov"]])
    printed = {**run.expected, "precise": run.expected.get("precise", {})}
    found: list[Number] = []
    found += _counts_and_criteria(fit, run, printed)
    found += _covariances(fit, run, printed)
    found += _tests(fit, fixed, run, printed)
    found += _precise(fit, fixed, run, printed["precise"])
    if "caseresults" in printed:
        rows = published_rows(printed["caseresults"])
        found += (
            residual_columns(fit, fixed, rows) if "resid" in rows else prediction_columns(fit, fixed, rows)
        )
    return found


def _counts_of_data(run: PublishedRun) -> Iterator[Number]:
    """Yield what is printed of a run that did not converge: the counts of its data."""
    model, data = run.record["model"], run_data(run)
    m = len(data[model["time"]].cat.categories)
    ours = {
        "n_rows_read": len(data),
        "n_obs": int(data[model["response"]].notna().sum()),
        "n_subjects_read": data[model["subject"]].nunique(),
        "n_cov_parameters": m * (m + 1) // 2,
    }
    for name, value in ours.items():
        yield from number(name, run.expected[name], value)


def _counts_and_criteria(fit: Any, run: PublishedRun, printed: Mapping[str, Any]) -> Iterator[Number]:
    """Yield counts, likelihoods, information criteria and the test against independence."""
    if "minus2loglik_printed" in printed:
        yield from number("-2 log likelihood", printed["minus2loglik_printed"], -2.0 * fit.loglik())
    if "n_obs" not in printed:
        return
    k, deviance = fit.counted_parameters("SAS"), -2.0 * fit.loglik()
    n = fit.nobs() - len(fit.beta) if fit.is_reml else fit.nobs()
    ours = {
        "n_rows_read": len(run_data(run)),
        "n_obs": fit.nobs(),
        "n_subjects_read": fit.n_subjects,
        "n_cov_parameters": fit.n_covariance_parameters,
        "aic": fit.aic("SAS"),
        "aicc": deviance + 2.0 * k * n / (n - k - 1),
        "bic": fit.bic("SAS"),
    }
    for name, value in ours.items():
        if name in printed:
            yield from number(name, printed[name], value, SAS.loglik if "ic" in name else 0.0)
    yield from loglikelihood("-2 log likelihood", printed["minus2loglik"], deviance, SAS)
    if "minus2loglik_null" in printed:
        null = -2.0 * _without_structure(run).loglik()
        yield from loglikelihood("-2 log likelihood, independence", printed["minus2loglik_null"], null, SAS)
        test, df = printed["null_model_lrt"], fit.n_covariance_parameters - 1
        yield from number("null model test df", test["df"], df)
        yield from number("null model test chisq", test["chisq"], null - deviance, SAS.loglik)
        yield from number(
            "null model test p", test["p"], float(stats.chi2.sf(null - deviance, df)), SAS.loglik
        )


def _without_structure(run: PublishedRun) -> Any:
    """Return the fit with independent residuals of one variance."""
    model = run.record["model"]
    formula = model["fixed"].replace("ARMCD:AVISIT", "ARMCD*AVISIT")
    return mm.gls(formula, run_data(run), REML=model["method"] == "REML", weights=model["weights"])


def _covariances(fit: Any, run: PublishedRun, printed: Mapping[str, Any]) -> Iterator[Number]:
    """Yield covariance parameters, their limits, and R of the subjects that are shown."""
    table = fit.covariance_parameters(level=LEVEL)
    for key, source in (("", printed), (" in more digits", printed["precise"])):
        for place, row in enumerate(source.get("covariance", ())):
            own = table.iloc[place]
            label = f"{row['name']} {row.get('group', '')}".strip()
            if (row["name"], row.get("group", "")) != (own.name, own["group"]):
                raise LookupError(f"parameter {place + 1} is {label!r} in the print and {own.name!r} here")
            for name in ("estimate", "lower", "upper"):
                if name in row:
                    # A limit moves with its parameter.
                    slack = max(SAS.of_covariance(own[name]), SAS.of_covariance(own["estimate"]))
                    yield from number(f"{label} {name}{key}", row[name], own[name], slack)
    for subject, rows in printed.get("R_of_subject", {}).items():
        yield from matrix(f"R of {subject} ", rows, _R(fit, subject), SAS)
    for subject, rows in printed.get("Rcorr_of_subject", {}).items():
        R = _R(fit, subject)
        sd = np.sqrt(R.diagonal())
        yield from matrix(f"R correlation of {subject} ", rows, R / np.outer(sd, sd), SAS)


def _R(fit: Any, subject: str) -> FloatArray:
    """Return the residual covariance of a subject's rows, in the order of time."""
    group = next(name for name in fit.design.residual.groups if subject in name.split(":"))
    return np.asarray(fit.covariance(group))


def linear_functions(fixed: FixedEffects, L: FloatArray, level: float = LEVEL) -> list[dict[str, float]]:
    """Return estimate, se, df, t, p and limits of the rows of L."""
    found = contrast_tests(fixed, L)
    half = quantiles(found.df, level) * found.se
    table = pd.DataFrame(
        {
            "estimate": found.estimate,
            "se": found.se,
            "df": found.df,
            "t": found.statistic,
            "p": found.p_value,
            "lower": found.estimate - half,
            "upper": found.estimate + half,
        }
    )
    return [{str(k): float(v) for k, v in row.items()} for row in table.to_dict("records")]


def coefficient_place(fixed: FixedEffects, row: Mapping[str, Any]) -> int:
    """Return where a printed coefficient is: an effect and the levels it is of."""
    if row["effect"] == "Intercept":
        return fixed.names.index("(Intercept)")
    levels = row.get("levels", {})
    wanted = {f"{part}{levels.get(part, '')}" for part in row["effect"].split("*")}
    return next(k for k, name in enumerate(fixed.names) if set(name.split(":")) == wanted)


def label_of(row: Mapping[str, Any]) -> str:
    """Return what a printed row is about: ``"ARMCD TRT - PBO"``."""
    levels = " ".join(row.get("levels", {}).values())
    minus = " ".join(row.get("minus", {}).values())
    return f"{row['effect']} {levels}{' - ' if minus else ''}{minus}".strip()


def _tests(fit: Any, fixed: FixedEffects, run: PublishedRun, printed: Mapping[str, Any]) -> Iterator[Number]:
    """Yield fixed effects, tests of the terms, marginal means, their differences and slices."""
    yield from _coefficients(fixed, printed.get("fixed", ()), "")
    yield from term_tests(fit, 3, printed.get("type3", ()), run)
    yield from marginal_means(fit, fixed, printed.get("lsmeans", ()), "mean of ")
    yield from marginal_means(fit, fixed, printed.get("differences", ()), "")
    yield from _slices(fit, run.record["ddf"], printed.get("slices", ()))


def _slices(fit: Any, ddf: Any, rows: Sequence[Mapping[str, Any]]) -> Iterator[Number]:
    """Yield the tests of an effect at each level of another."""
    tables = {name: fit.joint_tests(by=name, ddf=ddf) for name in {next(iter(row["levels"])) for row in rows}}
    for row in rows:
        ((variable, level),) = row["levels"].items()
        others = [name for name in row["effect"].split("*") if name != variable]
        table = tables[variable]
        own = table[(table[variable].astype(str) == level) & (table["model term"] == ":".join(others))].iloc[
            0
        ]
        ours = {"num_df": own["df1"], "den_df": own["df2"], "f": own["F.ratio"], "p_f": own["p.value"]}
        yield from f_row(f"slice {label_of(row)}", row, ours, SAS)


def _coefficients(fixed: FixedEffects, rows: Sequence[Mapping[str, Any]], suffix: str) -> Iterator[Number]:
    ours = linear_functions(fixed, np.eye(len(fixed.names)))
    for row in rows:
        yield from test_row(f"{label_of(row)}{suffix}", row, ours[coefficient_place(fixed, row)], SAS)


def term_tests(fit: Any, type: int, rows: Sequence[Mapping[str, Any]], run: PublishedRun) -> Iterator[Number]:
    """Yield the tests of the terms."""
    if not rows:
        return
    table = fit.anova(type=type, ddf=run.record["ddf"], vcov=VCOV[run.record["vcov"]])
    by_parts = {frozenset(str(name).split(":")): name for name in table.index}
    for row in rows:
        own = table.loc[by_parts[frozenset(row["effect"].split("*"))]]
        ours = {"num_df": own["NumDF"], "den_df": own["DenDF"], "f": own["F value"], "p_f": own["Pr(>F)"]}
        yield from f_row(f"type {'I' * type} {row['effect']}", row, ours, SAS)


def marginal_means(
    fit: Any, fixed: FixedEffects, rows: Sequence[Mapping[str, Any]], prefix: str, suffix: str = ""
) -> Iterator[Number]:
    """Yield marginal means, or differences of them."""
    by_effect = {
        variables: fit.emmeans(list(variables)) for variables in {tuple(row["levels"]) for row in rows}
    }
    for row in rows:
        means = by_effect[tuple(row["levels"])]
        L = means.functions.L[:, means.functions.basis.kept]
        weights = L[_cell(means, row["levels"])]
        if "minus" in row:
            weights = weights - L[_cell(means, row["minus"])]
        (ours,) = linear_functions(fixed, weights[None])
        yield from test_row(f"{prefix}{label_of(row)}{suffix}", row, ours, SAS)


def _cell(means: Any, levels: Mapping[str, str]) -> int:
    """Return the row of a table of means with these levels."""
    labels = means.functions.labels
    at = np.logical_and.reduce([labels[name].astype(str) == level for name, level in levels.items()])
    return int(np.flatnonzero(at)[0])


def _precise(
    fit: Any, fixed: FixedEffects, run: PublishedRun, precise: Mapping[str, Any]
) -> Iterator[Number]:
    """Yield what upstream exported in more digits than a listing has."""
    more = " in more digits"
    yield from _coefficients(fixed, precise.get("fixed", ()), more)
    yield from marginal_means(fit, fixed, precise.get("differences", ()), "", more)
    yield from term_tests(fit, 2, precise.get("type2", ()), run)
    if "vcov" in precise:
        printed, ours = precise["vcov"]["matrix"], fixed.covariance
        for i, row in enumerate(printed):
            for j in range(i + 1):
                scale = np.sqrt(ours[i, i] * ours[j, j])
                yield from number(
                    f"covariance of fixed effects({i + 1},{j + 1})", row[j], ours[i, j], 4e-4 * scale
                )


def prediction_columns(fit: Any, fixed: FixedEffects, rows: pd.DataFrame) -> Iterator[Number]:
    """Yield means of all rows and predictions of missing visits, with standard errors."""
    data = fit.data
    mean = linear_functions(fixed, fit.design.X[_first_alike(fit, data)])
    frame = pd.DataFrame(mean)
    yield from column(
        "predm", list(rows["predm"]), frame["estimate"].to_numpy(), SAS.estimate * frame["se"].to_numpy()
    )
    yield from column(
        "se_predm", list(rows["se_predm"]), frame["se"].to_numpy(), SAS.se * frame["se"].to_numpy()
    )
    df = "kenward-roger" if isinstance(fixed.degrees, KenwardRoger) else None
    found = fit.predict(data, se_fit=True, conditional=True, df=df)
    is_missing = data["FEV1"].isna().to_numpy()
    for name, ours, slack in (
        ("pred", found["fit"], SAS.estimate * found["se_fit"]),
        ("se_pred", found["se_fit"], SAS.se * found["se_fit"]),
    ):
        printed = [text if missing else "" for text, missing in zip(rows[name], is_missing, strict=True)]
        yield from column(f"{name} of missing visits", printed, ours.to_numpy(), slack.to_numpy())


def _first_alike(fit: Any, data: pd.DataFrame) -> list[int]:
    """Return for every row of the data a row of the fit with the same fixed effects (those of an arm)."""
    arms = data.loc[data["FEV1"].notna(), "ARMCD"].astype(str).tolist()
    return [arms.index(arm) for arm in data["ARMCD"].astype(str)]


def residual_columns(fit: Any, fixed: FixedEffects, rows: pd.DataFrame) -> Iterator[Number]:
    """Yield means with their limits, and residuals of four kinds, of the rows that were observed."""
    printed = rows[rows["resid"] != ""]
    mean = pd.DataFrame(linear_functions(fixed, fit.design.X))
    r = fit.residuals().to_numpy()
    sd = fit.sigma() * fit.relative_sd / np.sqrt(fit.prior_weights)
    se = mean["se"].to_numpy()
    df = (
        np.full(len(r), fit.nobs() - len(fit.beta))
        if isinstance(fixed.degrees, BetweenWithin)
        else mean["df"].to_numpy()
    )
    half = stats.t.isf(0.025, df) * se
    off = SAS.estimate * se
    # A residual is off by what its mean is, and standardised by a deviation that is off by half its variance.
    relative = (off + 0.5 * SAS.covariance * np.abs(r)) / sd
    ours = {
        "pred": (mean["estimate"].to_numpy(), off),
        "se_pred": (se, SAS.se * se),
        "df": (df, SAS.df * df),
        "lower": (mean["estimate"].to_numpy() - half, off + SAS.se * half),
        "upper": (mean["estimate"].to_numpy() + half, off + SAS.se * half),
        "resid": (r, off),
        "scaled_resid": (fit.residuals("normalized").to_numpy(), relative),
        "student_resid": (fit.rstandard().to_numpy(), relative),
        "pearson_resid": (fit.residuals("pearson").to_numpy(), relative),
    }
    for name, (values, slack) in ours.items():
        yield from column(name, list(printed[name]), values, slack)
