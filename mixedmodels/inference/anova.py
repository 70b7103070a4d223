"""Comparison of fitted models: ``anova(m1, m2, ...)`` and the table of one model, ``anova(m)``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.errors import ControlError, DataError, MixedModelsWarning, NotAvailableError, warn
from mixedmodels.fits import gee
from mixedmodels.fits.columns import column_terms
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.gee import GeeFit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.inference import comparison
from mixedmodels.inference.boundary_tests import added_cone, added_effect, boundary_bounds, boundary_p_value
from mixedmodels.inference.comparability import (
    described,
    different_approximations,
    different_criteria,
    different_responses,
    different_sizes,
)
from mixedmodels.inference.fixed_effects import Ddf, checked_ddf, refuse_ddf_of_chi_square
from mixedmodels.inference.gee import wald as gee_wald
from mixedmodels.inference.hypotheses import type_number
from mixedmodels.inference.nested_curves import curves_not_nested
from mixedmodels.inference.term_tests import (
    TermTests,
    analysis_of_variance,
    least_squares_tests,
    wald_chi_square,
    wald_f,
)
from mixedmodels.reports.anova_text import anova_text, boundary_text, bounds_text
from mixedmodels.reports.page import Page
from mixedmodels.reports.printed_frame import PrintedFrame

# Column of the p-values that know of the boundary.
CHIBAR = "Pr(>Chibar)"
# Columns of bounds of such a p-value, where several random effects are added at once.
CHIBAR_BOUNDS = ("Pr(>Chibar) min", "Pr(>Chibar) max")


class AnovaTable(PrintedFrame):
    """A DataFrame that prints as R prints an anova table, its heading in ``heading``."""

    _metadata = ["heading"]  # noqa: RUF012 (pandas reads this class attribute)
    heading: tuple[str, ...]

    def __repr__(self) -> str:
        # Printed is R's own table, which has no column for variances on their boundary; these stand below.
        rows = list(map(str, self.index))
        table = self.drop(columns=[CHIBAR, *CHIBAR_BOUNDS], errors="ignore")
        lines: list[str] = [
            anova_text(table.to_numpy(dtype=np.float64), rows, list(table.columns), self.heading)
        ]
        if CHIBAR in self.columns:
            lines.append(boundary_text(rows, self[CHIBAR].to_numpy(dtype=np.float64)))
        if CHIBAR_BOUNDS[0] in self.columns:
            lines.append(bounds_text(rows, self[list(CHIBAR_BOUNDS)].to_numpy(dtype=np.float64)))
        return lines[0] if len(lines) == 1 else Page(lines)


@advises
def anova(
    *models: Fit,
    refit: bool = True,
    model_names: Sequence[str] | None = None,
    type: object = None,
    ddf: Ddf | None = "default",
    test: Literal["F", "Chisq"] | None = None,
    vcov: Any = None,
    bounds: bool = False,
) -> AnovaTable:
    """Compare fitted models by likelihood-ratio tests, or test the fixed-effects terms of one model.

    Parameters
    ----------
    *models : fitted models
        Several are ordered by their number of parameters and each is tested against the one above.
        Generalized linear models of a quasi family, and linear models from lm(), are compared by F tests; two
        marginal models from gee() by a Wald test in the larger one. Of one model the terms are tested, as the
        arguments from `type` on say.
    refit : bool
        Whether models fitted by REML are first refitted by maximum likelihood, which is said on stderr.
    model_names : sequence of str, optional
        Names of the rows; by default MODEL1, MODEL2, ... in the order given, as lme4 where it knows no
        names.
    type : {3, 2, 1}, optional
        Type of the hypotheses. A linear mixed model has type III by default. Without a type a linear model
        from lm() has R's sequential table, a generalized mixed model lme4's, without p-values.
    ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z"} or None
        Denominator degrees of freedom of a linear mixed model, Satterthwaite's by default. None gives lme4's
        sequential table, which has none.
    test : {"F", "Chisq"}, optional
        F tests as lmerTest's, the default of a linear mixed model; or Wald chi-square tests as those of R's
        car, the default of generalized models with a type (then type II unless said otherwise).
    vcov : optional
        Another covariance of the fixed effects.
    bounds : bool
        Of several models: whether to bound the p-value where a model adds several random effects at once,
        whose mixture of chi-squares depends on the data; :func:`mixedmodels.pb_modcomp` simulates it.

    Returns
    -------
    AnovaTable
        A DataFrame. Of several models: npar, AIC, BIC, logLik, -2*log(L), Chisq, Df and Pr(>Chisq); where a
        model adds one random effect to the one above, Pr(>Chibar) is the p-value that knows of the boundary,
        at which the smaller model has its variance: from a mixture of chi-squares with Df - 1 and Df degrees
        of freedom (Self & Liang 1987), printed below the table. With `bounds`, a model that adds several has
        the columns Pr(>Chibar) min and max, and no exact value. Of one linear mixed model: Sum Sq, Mean Sq,
        NumDF, DenDF, F value and Pr(>F).

    Raises
    ------
    DataError
        If the models were not fitted to the same response at the same rows.
    ControlError
        If there is no model, or a wrong number of names; if the likelihoods are different approximations
        (nAGQ, hessian); if an argument is about one model and there are several.
    NotAvailableError
        If a model has no likelihood, or no such test.

    References
    ----------
    Kuznetsova, Brockhoff & Christensen (2017), J. Stat. Softw. 82(13).

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = mm.load_dataset("Penicillin")
    >>> m1 = mm.lmer("diameter ~ 1 + (1 | sample)", data, REML=False)
    >>> m2 = mm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", data, REML=False)
    >>> round(float(mm.anova(m1, m2).loc["MODEL2", "Chisq"]), 1)
    105.0
    """
    check_models(models, "anova")
    one_of("test", test, (None, "F", "Chisq"))
    ddf = None if ddf is None else checked_ddf(ddf)
    if len(models) > 1 and isinstance(models[0], GeeFit):
        if type is not None or ddf != "default" or test not in (None, "Chisq"):
            raise ControlError(
                "marginal models are compared by Wald's chi-square test: leave out type, ddf, test."
            )
        return _between_marginal(models, vcov)
    one_of("refit", refit, (True, False))
    one_of("bounds", bounds, (True, False))
    if len(models) == 1:
        if bounds or model_names is not None:
            raise ControlError("bounds and model_names are about several models, and there is one.")
        return _of_one_model(models[0], type, ddf, test, vcov)
    if type is not None or ddf != "default" or test is not None or vcov is not None:
        raise ControlError(
            "type, ddf, test and vcov are about the terms of one model; several models are compared by their "
            "likelihoods."
        )
    if not all(m.has_likelihood for m in models):
        raise no_likelihood(models)
    names = row_names(models, model_names)
    check_same_response(models)
    if all(m.is_quasi for m in models):
        return _analysis_of_deviance(models, names)
    if all(m.is_least_squares for m in models):
        return _f_tests(models, names)
    return _likelihood_ratio(comparable(models, names, refit), names, bounds)


@advises
def Anova(
    model: Fit,
    *,
    type: object = 2,
    test: Literal["Chisq", "F"] | None = None,
    ddf: Ddf = "default",
    vcov: Any = None,
) -> AnovaTable:
    """Test the fixed-effects terms of a model by Wald tests, as R's car does.

    Parameters
    ----------
    model : fitted model
        The model.
    type : {2, 3}
        Type II adjusts a term for all that do not contain it. Type III tests the coefficients of the term,
        so that it depends on the contrasts of the factors; :func:`anova` has a type III that does not.
    test : {"Chisq", "F"}, optional
        F tests are available for linear models, and the default for lm(); elsewhere chi-square tests are.
    ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z"}
        Degrees of freedom of the F tests of a linear mixed model, by default Kenward and Roger's as in car;
        given, the tests are F tests.
    vcov : optional
        Another covariance of the fixed effects.

    Returns
    -------
    AnovaTable
        Chisq, Df and Pr(>Chisq), or F, Df, Df.res and Pr(>F).

    Raises
    ------
    ControlError
        If `type` or `test` is none of these.
    NotAvailableError
        If F tests are asked for of a generalized model.

    References
    ----------
    Fox & Weisberg (2019), An R Companion to Applied Regression, 3rd ed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("effort ~ Type + (1 | Subject)", mm.load_dataset("ergoStool"))
    >>> round(float(mm.Anova(m).loc["Type", "Chisq"]), 2)
    67.07
    """
    check_models([model], "Anova")
    one_of("test", test, (None, "F", "Chisq"))
    number = type_number(type)
    if number == 1:
        raise ControlError("Anova() has types 2 and 3; the sequential table is anova(m, type=1).")
    if model.is_least_squares and test != "Chisq" and checked_ddf(ddf) in ("default", "residual"):
        return _tabulated(least_squares_tests(model, number, vcov))
    if test is None and checked_ddf(ddf) not in ("default", "z"):
        test = "F"
    if test != "F":
        refuse_ddf_of_chi_square(ddf)
        return _tabulated(wald_chi_square(model, number, vcov))
    chosen: Ddf = "kenward-roger" if isinstance(model, MixedFit) else "residual"
    if model.has_structured_residuals or vcov is not None:
        chosen = "default"
    _require_degrees_of_freedom(model)
    return _tabulated(wald_f(model, number, chosen if ddf == "default" else ddf, vcov))


def no_likelihood(models: Sequence[Fit]) -> NotAvailableError:
    """Return the error about models that have no likelihood to compare."""
    marginal = any(isinstance(m, GeeFit) for m in models)
    return NotAvailableError(gee.NO_LIKELIHOOD if marginal else NO_LIKELIHOOD)


NO_LIKELIHOOD = (
    "A fit by penalized quasi-likelihood has no likelihood to compare; fit the models with method='ml'. "
    "anova(m, type=2) tests the terms of one model."
)


def _of_one_model(
    model: Fit, type: object, ddf: Ddf | None, test: Literal["F", "Chisq"] | None, vcov: Any
) -> AnovaTable:
    """Return the tests of the terms of one model."""
    is_linear = _is_linear(model)
    asked = test is not None or vcov is not None or ddf not in (None, "default")
    number = None if type is None else type_number(type)
    if isinstance(model, GeeFit) and not asked and number in (None, 1):
        return _sequential_wald(model)
    if ddf is None or (not is_linear and not asked and number in (None, 1)):
        if number not in (None, 1):
            raise ControlError("ddf=None gives lme4's table, which is sequential: leave out ddf, or type.")
        return _sequential(model)
    if is_linear and test != "Chisq":
        return _tabulated(analysis_of_variance(model, number or model.default_type, ddf, vcov))
    if number == 1:
        raise ControlError(
            "type=1, the sequential tests, goes without test, ddf and vcov here: leave them out, or write "
            "type=2 or 3."
        )
    return Anova(model, type=number or 2, test=test, ddf=ddf, vcov=vcov)


def _is_linear(model: Fit) -> bool:
    """Tell whether a model is linear, with random effects or structured residuals: its terms have F tests."""
    return (isinstance(model, MixedFit) or model.has_structured_residuals) and model.family() is None


def _require_degrees_of_freedom(model: Fit) -> None:
    """Raise unless F tests are defined: for linear models, and where a dispersion is estimated."""
    if model.test_df is None and not _is_linear(model) and not isinstance(model, GeeFit):
        raise NotAvailableError(
            "F tests need degrees of freedom, which this generalized model has none of; write test='Chisq'."
        )


def _tabulated(tests: TermTests) -> AnovaTable:
    return make_table(tests.values, tests.rows, tests.columns, tests.heading)


def check_models(models: Sequence[object], function: str) -> None:
    """Raise ControlError, in the name of `function`, unless there are fitted models and nothing else."""
    if not models:
        raise ControlError(f"{function}() needs at least one fitted model.")
    for i, model in enumerate(models):
        if isinstance(model, (list, tuple, dict)) and any(isinstance(m, Fit) for m in _values(model)):
            star = "*models.values()" if isinstance(model, dict) else "*models"
            raise ControlError(
                f"argument {i + 1} of {function}() is a {type(model).__name__} of models: pass them one by "
                f"one, {function}({star})."
            )
        if not isinstance(model, Fit):
            raise ControlError(
                f"argument {i + 1} of {function}() is no fitted model but {shown(model)}; options go by name."
            )


def _values(models: Sequence[object] | Mapping[object, object]) -> Iterable[object]:
    return models.values() if isinstance(models, Mapping) else models


def row_names(models: Sequence[Fit], given: Sequence[str] | None) -> list[str]:
    """Return the names of the rows of a table of models: those given, or MODEL1, MODEL2, ..."""
    if isinstance(given, str):
        raise ControlError(f"model_names is a list of names, one for each model, not {given!r}.")
    names = [f"MODEL{i + 1}" for i in range(len(models))] if given is None else list(given)
    if len(names) != len(models):
        raise ControlError(f"model_names has {len(names)} names for {len(models)} models.")
    if len(set(names)) < len(names):
        raise ControlError("model_names must be different from each other.")
    return names


def check_same_response(models: Sequence[Fit]) -> None:
    """Raise DataError unless the models were fitted to the same response at the same rows."""
    difference = different_sizes(models) or different_responses(models)
    if difference:
        raise DataError(difference)


def comparable(models: Sequence[Fit], names: Sequence[str], refit: bool) -> list[Fit]:
    """Refit REML fits by maximum likelihood, or warn where their criteria are no likelihoods to compare."""
    if difference := different_approximations(models, names):
        raise ControlError(difference)
    if refit and any(m.is_reml for m in models):
        print("refitting model(s) with ML (instead of REML)", file=sys.stderr)
        return [m.refitML() for m in models]
    if difference := different_criteria(models):
        warn(
            f"{difference} Leave out refit=False to have the models refitted by maximum likelihood.",
            MixedModelsWarning,
        )
    return list(models)


def _likelihood_ratio(models: Sequence[Fit], names: Sequence[str], bounds: bool) -> AnovaTable:
    loglik = [m.loglik() for m in models]
    order = np.argsort([m.npar for m in models], kind="stable")
    values = comparison.likelihood_ratio_table(
        [models[i].npar for i in order], [loglik[i] for i in order], models[0].nobs()
    )
    rows = [names[i] for i in order]
    heading = [f"Data: {models[0].call.data}"] if models[0].call.data else []
    heading += ["Models:", *(f"{names[i]}: {described(models[i])}" for i in order)]
    columns = list(comparison.LIKELIHOOD_RATIO_COLUMNS)
    untested = curves_not_nested([models[i] for i in order], rows)
    heading += untested.values()
    for i in untested:
        values[i, columns.index("Chisq") :] = np.nan
    chisq = values[:, columns.index("Chisq")]
    chibar = _boundary_p_values([models[i] for i in order], chisq)
    table = with_boundary(values, chibar, rows, columns, heading)
    return _with_bounds(table, [models[i] for i in order], chisq) if bounds else table


def _boundary_p_values(models: Sequence[Fit], chisq: FloatArray) -> FloatArray:
    """Return p-values of the models that add one random effect to the one before, NaN for the others."""
    p_values = np.full(len(models), np.nan)
    for i in range(1, len(models)):
        added = added_effect(models[i - 1], models[i])
        if added is not None:
            p_values[i] = boundary_p_value(chisq[i], *added)
    return p_values


def _with_bounds(table: AnovaTable, models: Sequence[Fit], chisq: FloatArray) -> AnovaTable:
    """Return a table with bounds for the models that add several random effects, if any does."""
    ends = np.full((len(models), 2), np.nan)
    for i in range(1, len(models)):
        cone = added_cone(models[i - 1], models[i])
        if cone is not None and added_effect(models[i - 1], models[i]) is None:
            ends[i] = boundary_bounds(float(chisq[i]), *cone)
    if not np.isnan(ends).all():
        table[list(CHIBAR_BOUNDS)] = ends
    return table


def with_boundary(
    values: FloatArray,
    chibar: FloatArray,
    rows: Sequence[str],
    columns: Sequence[str],
    heading: Sequence[str],
) -> AnovaTable:
    """Return a table with a column of p-values that know of the boundary, if any row has one."""
    if np.isnan(chibar).all():
        return make_table(values, rows, columns, heading)
    return make_table(np.column_stack([values, chibar]), rows, [*columns, CHIBAR], heading)


def _sequential(model: Fit) -> AnovaTable:
    """Return sums of squares of the fixed-effects terms in the order of the formula."""
    if not model.has_likelihood:
        raise no_likelihood([model])
    if not isinstance(model, MixedFit) and not model.is_least_squares:
        raise NotAvailableError(
            "anova() of one generalized linear model is not available without a type: write anova(m, type=2) "
            "for Wald tests of its terms, or give it the models to compare."
        )
    recipe, kept = model.design.recipe.fixed, model.design.recipe.kept
    labels = [column_terms(recipe)[k] for k in kept]
    order = list(dict.fromkeys(label for label in labels if label != "(Intercept)"))
    position = {"(Intercept)": 0} | {label: i + 1 for i, label in enumerate(order)}
    assign = np.array([position[label] for label in labels], dtype=np.intp)
    if not isinstance(model, MixedFit):
        table = comparison.term_table(model.effects, assign, model.deviance(), model.df_residual())
        heading = ["Analysis of Variance Table", "", f"Response: {model.design.response.text}"]
        return make_table(table, [*order, "Residuals"], comparison.TERM_COLUMNS, heading)
    values = comparison.sequential_table(model.beta, model.unscaled_vcov, assign, model.sigma())
    return make_table(values, order, comparison.SEQUENTIAL_COLUMNS, ["Analysis of Variance Table"])


WALD = "Analysis of 'Wald statistic' Table"


def _sequential_wald(model: GeeFit) -> AnovaTable:
    """Return the tests of the terms of a marginal model, added in the order of the formula."""
    values, rows = gee_wald.sequential(model)
    family = model.family()
    heading = [WALD, f"Model: {family.name}, link: {family.link.name}"]
    heading += [f"Response: {model.design.response.text}", "Terms added sequentially (first to last)", ""]
    return make_table(values, rows, gee_wald.COLUMNS, heading)


def _between_marginal(models: Sequence[Fit], vcov: Any) -> AnovaTable:
    """Return the Wald test of a marginal model against one nested in it."""
    marginal = [m for m in models if isinstance(m, GeeFit)]
    if len(models) != 2 or len(marginal) != 2:
        raise ControlError("anova() compares two models fitted by gee(), one nested in the other.")
    check_same_response(models)
    smaller, larger = sorted(marginal, key=lambda m: len(m.beta))
    heading = [WALD, "", f"Model 1 {larger.formula()} ", f"Model 2 {smaller.formula()}"]
    return make_table(np.array([gee_wald.between(larger, smaller, vcov)]), ["1"], gee_wald.COLUMNS, heading)


def _analysis_of_deviance(models: Sequence[Fit], names: Sequence[str]) -> AnovaTable:
    """Compare quasi-likelihood fits by F tests, the dispersion from the largest model."""
    order = sorted(range(len(models)), key=lambda i: -models[i].df_residual())
    values = comparison.deviance_table(
        [models[i].df_residual() for i in order],
        [models[i].deviance() for i in order],
        models[order[-1]].dispersion(),
    )
    heading = ["Analysis of Deviance Table", ""]
    heading += [f"{names[i]}: {described(models[i])}" for i in order]
    return make_table(values, [names[i] for i in order], comparison.DEVIANCE_COLUMNS, heading)


def _f_tests(models: Sequence[Fit], names: Sequence[str]) -> AnovaTable:
    """Compare least-squares fits by F tests, in the order given as R does."""
    values = comparison.f_test_table([m.df_residual() for m in models], [m.deviance() for m in models])
    heading = ["Analysis of Variance Table", ""]
    heading += [f"{name}: {described(m)}" for name, m in zip(names, models, strict=True)]
    return make_table(values, names, comparison.F_TEST_COLUMNS, heading)


def make_table(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    rows: Sequence[str],
    columns: Sequence[str],
    heading: Sequence[str],
) -> AnovaTable:
    """Return a table that prints below its heading."""
    table = AnovaTable(values, index=list(rows), columns=list(columns))
    table.heading = tuple(heading)
    return table
