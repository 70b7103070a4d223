"""Single-term deletions: each fixed-effects term left out in turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from mixedmodels.absent_rows import AbsentRows
from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.control import one_of
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.fits.columns import column_terms
from mixedmodels.fits.criteria import akaike
from mixedmodels.fits.fit import Fit
from mixedmodels.formula import build_design
from mixedmodels.formula.design.coding import CodedTerm, MatrixRecipe, is_full
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.kept_data import used_variables
from mixedmodels.inference.anova import AnovaTable, make_table
from mixedmodels.inference.comparison import chi_square_tail
from mixedmodels.inference.contrasts import untested_note
from mixedmodels.inference.fixed_effects import Ddf, fixed_effects, refuse_ddf_of_chi_square
from mixedmodels.inference.hypotheses import deletion_hypotheses, term_columns
from mixedmodels.inference.term_tests import F_COLUMNS, f_test_rows, method_text

DROP1_COLUMNS = ("npar", "AIC", "LRT", "Pr(Chi)")


@advises
def drop1(
    model: Fit,
    *,
    test: Literal["Chisq", "F"] = "Chisq",
    ddf: Ddf = "default",
    vcov: Any = None,
) -> AnovaTable:
    """Test each term of the fixed effects that is not contained in another one.

    Parameters
    ----------
    model : fitted model
        The model.
    test : {"Chisq", "F"}
        Likelihood ratios, for which the smaller models are fitted, by maximum likelihood where the model was
        fitted by REML; or F tests of the coefficients of the term in the fitted model, as lmerTest's, of
        linear models only.
    ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z"}
        Denominator degrees of freedom of F tests.
    vcov : optional
        Another covariance of the fixed effects for F tests.

    Returns
    -------
    AnovaTable
        One row per term. Of likelihood ratios also ``<none>`` for the model itself, and columns npar
        (parameters dropped), AIC, LRT and Pr(Chi); of F tests Sum Sq, Mean Sq, NumDF, DenDF, F value and
        Pr(>F).

    Raises
    ------
    ControlError
        If `test` is neither, or `ddf` or `vcov` is given to likelihood ratios.
    NotAvailableError
        If the model has no likelihood, or F tests are asked for of a generalized model.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("yield ~ nitro + Variety + (1 | Block/Variety)", mm.load_dataset("Oats"))
    >>> mm.drop1(m)["LRT"].round(2).to_dict()
    {'<none>': nan, 'nitro': 63.26, 'Variety': 3.12}
    """
    if not isinstance(model, Fit):
        raise ControlError(f"drop1() needs a fitted model, not {shown(model)}.")
    one_of("test", test, ("Chisq", "F"))
    if test == "F":
        return _f_tests(model, ddf, vcov)
    refuse_ddf_of_chi_square(ddf)
    if vcov is not None:
        raise ControlError("vcov is about F tests, and these are likelihood ratios: write test='F'.")
    full = model.refitML()
    rows, values = ["<none>"], [(np.nan, full.aic(), np.nan, np.nan)]
    for label in droppable(model.design):
        loglik, n_smaller = _likelihood_without(full, label)
        npar = full.npar - n_smaller
        lrt = max(2.0 * (full.loglik() - loglik), 0.0)
        tail = chi_square_tail(np.array([lrt]), np.array([float(npar)]))
        values.append((npar, akaike(loglik, n_smaller), lrt, float(tail[0])))
        rows.append(label)
    heading = ["Single term deletions", "", "Model:", model.formula()]
    return make_table(np.array(values, dtype=np.float64), rows, DROP1_COLUMNS, heading)


def _likelihood_without(full: Fit, label: str) -> tuple[float, int]:
    """Return the log-likelihood and number of parameters of the fit with one term left out.

    Where the other terms keep their columns, the cross-products of the fit have those of the smaller model.
    """
    kept = columns_without(full.design, label)
    loglik = None if kept is None else full.loglik_with_columns(kept)
    if kept is not None and loglik is not None:
        return loglik, full.npar - (len(full.design.x_names) - len(kept))
    smaller = full.with_design(without_term(full, label))
    return smaller.loglik(), smaller.npar


def columns_without(design: Design, label: str) -> IntArray | None:
    """Return the columns of X that a model has without one of its terms; None where others would change."""
    recipe = design.recipe.fixed
    left_out = recipe.assign[column_terms(recipe).index(label)]
    others = [term for term in recipe.terms if term.pattern != left_out]
    if design.dropped or not recipe.intercept or _codings(recipe, others) != [t.factors for t in others]:
        return None
    return np.flatnonzero(np.array(recipe.assign) != left_out)


def _codings(recipe: MatrixRecipe, terms: list[CodedTerm]) -> list[tuple[tuple[int, bool], ...]]:
    """Return how the variables of some terms are coded without the others (R's rule)."""
    patterns = [term.pattern for term in terms]
    return [
        tuple((i, is_full(pattern & ~(1 << i), patterns[:position])) for i, _ in term.factors)
        for position, (pattern, term) in enumerate(zip(patterns, terms, strict=True))
    ]


def _f_tests(model: Fit, ddf: Ddf, vcov: Any) -> AnovaTable:
    """Return F tests of the coefficients of each term, nothing fitted again (lmerTest)."""
    if model.family() is not None:
        raise NotAvailableError("F tests of terms are those of linear models; write test='Chisq'.")
    fixed = fixed_effects(model, ddf, vcov)
    hypotheses = {label: _hypothesis(model, label) for label in droppable(model.design)}
    values = f_test_rows(fixed, hypotheses, model.sigma())
    title = f"Single term deletions using {method_text(fixed)}:"
    untested = untested_note(list(hypotheses), values[:, 2].tolist(), values[:, 3].tolist())
    heading = [title, "", "Model:", model.formula(), *untested]
    return make_table(values, list(hypotheses), F_COLUMNS, heading)


def _hypothesis(model: Fit, label: str) -> FloatArray:
    """Return L that says that a term is not needed: its coefficients are zero.

    Where columns depend on each other, leaving out a term does not make all its coefficients zero: then the
    mean lies in the columns of the model without it.
    """
    design = model.design
    if design.dropped:
        return deletion_hypotheses(design.X, without_term(model, label).X)
    terms = term_columns(design.recipe.fixed, design.recipe.kept)
    own = terms.columns[terms.labels.index(label)]
    return np.eye(design.X.shape[1])[own]


def droppable(design: Design) -> list[str]:
    """Return the terms that no other term contains (marginality), as R's ``drop.scope``."""
    recipe = design.recipe.fixed
    patterns = [term.pattern for term in recipe.terms]
    names = dict(zip(recipe.assign, column_terms(recipe), strict=True))
    return [names[p] for p in patterns if not any(q != p and q & p == p for q in patterns)]


def without_term(model: Fit, label: str) -> Design:
    """Return the design of `model` with one fixed-effects term left out, at the same rows.

    Raises
    ------
    NotAvailableError
        If the formula uses arrays given in `env`, which cannot be cut to the rows used.
    """
    design = model.design
    if isinstance(model.data, AbsentRows):
        return _without_columns(design, label)
    if design.recipe.env:
        raise NotAvailableError("drop1() is not available for a model with names from env=.")
    recipe = design.recipe.fixed
    labels = list(dict.fromkeys(column_terms(recipe)))
    kept = [name for name in labels if name not in (label, "(Intercept)")]
    text = " + ".join(["1" if recipe.intercept else "0", *kept])
    coding = {v.name: v.reduced[0] for v in recipe.variables if v.reduced is not None}
    smaller = build_design(
        f"{design.response.text} ~ {text}",
        used_variables(model.data, design),
        contrasts={name: matrix for name, matrix in coding.items() if any(name in k for k in kept)},
    )
    return replace(
        design, fixed=smaller.fixed, x_names=smaller.x_names, dropped=smaller.dropped, formula=smaller.formula
    )


def _without_columns(design: Design, label: str) -> Design:
    """Return a design without rows, and without the columns of a term.

    Raises
    ------
    NotAvailableError
        If the other columns are coded otherwise without the term.
    """
    recipe = design.recipe.fixed
    if not recipe.intercept and any(v.levels is not None for v in recipe.variables):
        raise NotAvailableError(
            "drop1() of a model without an intercept, fitted to sums, would need other codings of its "
            "factors: fit the smaller models with lmer() to the source, and compare them with anova()."
        )
    of_column = column_terms(recipe)
    kept = [k for k, place in enumerate(design.recipe.kept.tolist()) if of_column[place] != label]
    whole: Any = design.X
    X: Any = whole.some(kept)
    return replace(design, fixed=ColumnMatrix.of(X), x_names=tuple(design.x_names[k] for k in kept))
