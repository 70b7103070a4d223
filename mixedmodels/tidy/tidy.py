"""One row for each estimate of a fit, in the columns of R's broom.mixed: ``tidy(m)``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy import special

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of, true_or_false
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.families.modelled_dispersion import PREFIX
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.fits.linear import LinearFit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.inference.bootstrap import bootstrap
from mixedmodels.inference.confint import confint
from mixedmodels.inference.dispersion_tests import dispersion_coefficients
from mixedmodels.inference.fixed_effects import Ddf, fixed_effects
from mixedmodels.inference.ranef import RandomEffects, coefficients_by_group, tables_by_group
from mixedmodels.inference.varcorr import VarCorr
from mixedmodels.inference.wald import check_level, table_of_tests
from mixedmodels.prediction.draws import Seed

Effect = Literal["fixed", "ran_pars", "ran_vals", "ran_coefs"]
ConfMethod = Literal["wald", "profile", "boot"]
#: Columns of the table in their order; those that a table has no use for are left out.
COLUMNS = (
    "effect", "component", "group", "level", "term", "estimate", "std.error", "statistic", "df", "p.value",
    "conf.low", "conf.high",
)  # fmt: skip
#: What broom calls the columns of a summary.
SUMMARY_NAMES = {
    "Estimate": "estimate", "Std. Error": "std.error", "df": "df", "t value": "statistic",
    "z value": "statistic", "Pr(>|t|)": "p.value", "Pr(>|z|)": "p.value",
}  # fmt: skip
#: Prefixes of a deviation and of a correlation, or of a variance and of a covariance.
PREFIXES = {"sdcor": ("sd", "cor"), "vcov": ("var", "cov")}
#: What confint() calls the residual standard deviation of a model with structured residuals.
SIGMA = ".sigma"
#: Limits by the name of a parameter, as the long names of confint() are.
Limits = Callable[[Sequence[str]], FloatArray]


@advises
def tidy(
    model: Fit,
    effects: Effect | Sequence[Effect] = ("fixed", "ran_pars"),
    conf_int: bool = False,
    conf_level: float = 0.95,
    conf_method: ConfMethod = "wald",
    ddf: Ddf | None = "default",
    exponentiate: bool = False,
    *,
    vcov: Any = None,
    scales: Literal["sdcor", "vcov"] = "sdcor",
    nsim: int = 1000,
    rng: Seed = None,
) -> pd.DataFrame:
    """Return the estimates of a model as a table, in the columns of R's broom.mixed.

    Parameters
    ----------
    model : fitted model
        The model.
    effects : str or sequence of str
        Which estimates: ``"fixed"`` effects, ``"ran_pars"`` (standard deviations and correlations, and the
        parameters of structured residuals),
        ``"ran_vals"`` (conditional modes) and ``"ran_coefs"`` (fixed plus random effects of every level).
        A model without random effects has the fixed alone.
    conf_int : bool
        Whether to add conf.low and conf.high. Those of the conditional modes are of Wald type whatever the
        method; coefficients of the levels have none.
    conf_level : float
        Confidence level.
    conf_method : {"wald", "profile", "boot"}
        Method of the intervals: as :meth:`confint`, those of fixed effects with the degrees of freedom of
        their tests; or percentiles of :func:`mixedmodels.bootstrap`.
    ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z"} or None
        Degrees of freedom of the fixed effects. None gives the columns of lme4's table, without df and
        p.value for a linear mixed model.
    exponentiate : bool
        Whether fixed effects and their limits are exponentiated, as for odds ratios and rate ratios; the
        standard error is multiplied by the estimate.
    vcov : optional
        Another covariance of the fixed effects, as in :meth:`summary`.
    scales : {"sdcor", "vcov"}
        Whether ran_pars are standard deviations and correlations, or variances and covariances (for which
        there are no intervals).
    nsim, rng : optional
        Replicates and seed of the bootstrap.

    Returns
    -------
    DataFrame
        Columns effect, component, group, level, term, estimate, std.error, statistic, df, p.value, conf.low,
        conf.high, those left out that have no values. The component is "cond" or "disp", where the
        dispersion is modelled.

    Raises
    ------
    ControlError
        If an option is none of those allowed.
    NotAvailableError
        If random effects are asked of a model that has none.

    References
    ----------
    Bolker & Robinson, broom.mixed: tidying methods for mixed models.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.tidy(m)["term"].tolist()
    ['(Intercept)', 'Days', 'sd__(Intercept)', 'cor__(Intercept).Days', 'sd__Days', 'sd__Observation']
    """
    chosen = _checked_effects(model, effects)
    one_of("conf_method", conf_method, get_args(ConfMethod))
    one_of("scales", scales, tuple(PREFIXES))
    true_or_false(conf_int=conf_int, exponentiate=exponentiate)
    check_level(conf_level)
    limits = _limits(model, conf_method, conf_level, nsim, rng) if conf_int else None
    parts = []
    if "fixed" in chosen:
        wald = conf_level if conf_int and conf_method == "wald" else None
        parts.append(_fixed(model, ddf, vcov, wald, limits, exponentiate))
        if isinstance(model, GeneralizedFit) and model.design.dispersion:
            parts = [parts[0].assign(component="cond"), _of_dispersion(model, wald, limits)]
    if "ran_pars" in chosen and isinstance(model, (MixedFit, StructuredResiduals)):
        parts.append(_parameters(model, scales, limits))
    if isinstance(model, MixedFit):
        if "ran_vals" in chosen:
            parts.append(_modes(model, conf_level if conf_int else None))
        if "ran_coefs" in chosen:
            parts.append(_coefficients(model, conf_int))
    table = pd.concat(parts, ignore_index=True)
    return table[[name for name in COLUMNS if name in table.columns]]


def check_fit(model: object, function: str) -> None:
    """Raise ControlError, in the name of `function`, unless `model` is a fitted model."""
    if not isinstance(model, Fit):
        raise ControlError(f"{function}() needs a fitted model, not {shown(model)}.")


def _checked_effects(model: Fit, effects: Any) -> tuple[str, ...]:
    check_fit(model, "tidy")
    names = tuple(effects) if isinstance(effects, (list, tuple, set, frozenset)) else (effects,)
    for name in names:
        one_of("effects", name, get_args(Effect))
    if not names:
        raise ControlError(f"effects must name some of {', '.join(get_args(Effect))}.")
    if "fixed" not in names and not isinstance(model, (MixedFit, StructuredResiduals)):
        raise NotAvailableError("the model has no random effects; effects='fixed' has its coefficients.")
    return names


def _limits(model: Fit, method: ConfMethod, level: float, nsim: int, rng: Seed) -> Limits:
    """Return limits by name; those that a method does not have are NaN."""
    if method == "boot":
        table = bootstrap(model, nsim=nsim, rng=rng).confint(level=level)
    elif method == "profile":
        table = confint(model, level=level, method="profile", signames=False)
    else:
        try:
            table = confint(model, "theta_", level, "Wald", signames=False)
        except (NotAvailableError, ControlError):  # a fit without a likelihood, or without random effects
            return lambda names: np.full((len(names), 2), np.nan)
    return lambda names: table.reindex(list(names)).to_numpy(dtype=np.float64)


def _fixed(
    model: Fit, ddf: Ddf | None, vcov: Any, wald: float | None, limits: Limits | None, exponentiate: bool
) -> pd.DataFrame:
    """Return the rows of the fixed effects; `wald` is the level of intervals from standard errors."""
    lme4 = ddf is None and vcov is None and isinstance(model, LinearFit)
    tests = fixed_effects(model, "z" if lme4 else "default" if ddf is None else ddf, vcov)
    table = table_of_tests(tests).rename(columns=SUMMARY_NAMES).reset_index(names="term")
    if wald is not None:
        df = table["df"].to_numpy() if "df" in table else np.full(len(table), np.inf)
        tail = (1.0 + wald) / 2.0
        quantile = np.where(np.isinf(df), special.ndtri(tail), special.stdtrit(df, tail))
        half = quantile * table["std.error"].to_numpy()
        table["conf.low"], table["conf.high"] = table["estimate"] - half, table["estimate"] + half
    elif limits is not None:
        table[["conf.low", "conf.high"]] = limits(list(table["term"]))
    if lme4:
        table = table.drop(columns="p.value")
    if exponentiate:
        ratios = [name for name in ("estimate", "conf.low", "conf.high") if name in table]
        table[ratios] = np.exp(table[ratios])
        table["std.error"] *= table["estimate"]
    if not isinstance(model, (MixedFit, StructuredResiduals)):
        return table.drop(columns="df", errors="ignore")
    return table.assign(effect="fixed")


def _of_dispersion(model: GeneralizedFit, wald: float | None, limits: Limits | None) -> pd.DataFrame:
    """Return the rows of the model of the log dispersion; `wald` is the level of its normal intervals."""
    table = dispersion_coefficients(model).rename(columns=SUMMARY_NAMES).reset_index(names="term")
    table = table.assign(effect="fixed", component="disp")
    if wald is not None:
        half = special.ndtri((1.0 + wald) / 2.0) * table["std.error"]
        return table.assign(**{"conf.low": table["estimate"] - half, "conf.high": table["estimate"] + half})
    return table if limits is None else _with_limits(table, limits([PREFIX + t for t in table["term"]]))


def _parameters(model: MixedFit | StructuredResiduals, scales: str, limits: Limits | None) -> pd.DataFrame:
    """Return the rows of the covariance parameters: of each term by the lower triangle, then of residuals."""
    parts = []
    if isinstance(model, MixedFit):
        parts.append(_of_terms(model, scales, limits))
    if isinstance(model, StructuredResiduals):
        parts.append(_of_residuals(model, scales, limits, sigma=not parts))
    return pd.concat(parts, ignore_index=True)


def _of_residuals(
    model: StructuredResiduals, scales: str, limits: Limits | None, sigma: bool
) -> pd.DataFrame:
    """Return the rows of correlations and variance functions, and of sigma where no term has brought it."""
    names, values = list(model.residual_parameters[0]), list(model.residual_parameters[1])
    terms = list(names)
    if sigma:
        terms.append(f"{PREFIXES[scales][0]}__Observation")
        names.append(SIGMA)
        values.append(model.sigma() ** (1 if scales == "sdcor" else 2))
    table = pd.DataFrame({"effect": "ran_pars", "group": "Residual", "term": terms, "estimate": values})
    if limits is None:
        return table
    squared = np.array([scales == "vcov" and name == SIGMA for name in names])
    return _with_limits(table, np.where(squared[:, None], np.nan, limits(names)))


def _of_terms(model: MixedFit, scales: str, limits: Limits | None) -> pd.DataFrame:
    """Return the rows of standard deviations and correlations of the random effects, and of sigma."""
    rows = VarCorr(model.term_covariances(), model.residual_sd).to_frame("lower.tri")
    group_of = {term.label: term.group for term in model.random}
    diagonal, off = PREFIXES[scales]
    terms, names = [], []
    for label, one, other in zip(rows["grp"], rows["var1"], rows["var2"], strict=True):
        if pd.isna(one):
            terms.append(f"{diagonal}__Observation")
            names.append(SIGMA if isinstance(model, StructuredResiduals) else "sigma")
        elif pd.isna(other):
            terms.append(f"{diagonal}__{one}")
            names.append(f"sd_{one}|{group_of[label]}")
        else:
            terms.append(f"{off}__{one}.{other}")
            names.append(f"cor_{other}.{one}|{group_of[label]}")
    table = pd.DataFrame(
        {"effect": "ran_pars", "group": rows["grp"], "term": terms, "estimate": rows[scales]}
    )
    if limits is not None:
        known = limits(names) if scales == "sdcor" else np.full((len(names), 2), np.nan)
        return _with_limits(table, known)
    return table


def _with_limits(table: pd.DataFrame, limits: FloatArray) -> pd.DataFrame:
    """Return a table with limits beside its estimates."""
    return table.assign(**{"conf.low": limits[:, 0], "conf.high": limits[:, 1]})


def _modes(model: MixedFit, level: float | None) -> pd.DataFrame:
    """Return the rows of the conditional modes."""
    modes = RandomEffects(model.random, model.b, model._conditional_covariances()).to_frame()
    names = {"grpvar": "group", "grp": "level", "condval": "estimate", "condsd": "std.error"}
    table = modes.rename(columns=names).assign(effect="ran_vals")
    if level is not None:
        half = special.ndtri((1.0 + level) / 2.0) * table["std.error"]
        table["conf.low"], table["conf.high"] = table["estimate"] - half, table["estimate"] + half
    return table


def _coefficients(model: MixedFit, conf_int: bool) -> pd.DataFrame:
    """Return the rows of the coefficients of every level."""
    parts = []
    tables = coefficients_by_group(model.fixef(), tables_by_group(model.random, model.b))
    for group, coefficients in tables.items():
        long = coefficients.rename_axis("level").melt(
            ignore_index=False, var_name="term", value_name="estimate"
        )
        parts.append(long.reset_index().assign(group=group))
    table = pd.concat(parts, ignore_index=True).assign(effect="ran_coefs")
    return table.assign(**{"conf.low": np.nan, "conf.high": np.nan}) if conf_int else table
