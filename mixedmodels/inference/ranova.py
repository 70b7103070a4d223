"""Tests of the random effects: each random-effects term left out or made smaller in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixedmodels.absent_rows import AbsentRows
from mixedmodels.advice import advises, shown
from mixedmodels.control import one_of
from mixedmodels.engines.glm.fit import fit_glm
from mixedmodels.engines.least_squares import fit_least_squares, reml_log_likelihood
from mixedmodels.engines.linear.reml import evaluate
from mixedmodels.errors import NotAvailableError
from mixedmodels.families import log_constant
from mixedmodels.fits.columns import column_terms
from mixedmodels.fits.criteria import akaike
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.fits.linear import LinearFit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.nonlinear import refuse_nonlinear
from mixedmodels.formula import build_design
from mixedmodels.formula.design.design import Design, RandomTerm
from mixedmodels.formula.design.kept_data import used_variables
from mixedmodels.formula.language.bars import Bar
from mixedmodels.formula.language.syntax_tree import deparse
from mixedmodels.formula.language.terms import Terms, expand_terms
from mixedmodels.inference.anova import AnovaTable, with_boundary
from mixedmodels.inference.boundary_tests import added_to_terms, boundary_p_value
from mixedmodels.inference.comparison import chi_square_tail

RANOVA_COLUMNS = ("npar", "logLik", "AIC", "LRT", "Df", "Pr(>Chisq)")
#: Structures of which a part of the left side is a model too.
REDUCIBLE = ("us", "diag")


@advises
def ranova(
    model: Fit,
    *,
    reduce_terms: bool = True,
) -> AnovaTable:
    """Test each random-effects term by a likelihood ratio, as lmerTest does.

    A term with slopes loses one of them at a time, ``(x | g)`` becoming ``(1 | g)``; a lone intercept is left
    out. Every smaller model is fitted, by REML where the model was. The p-values Pr(>Chisq) are lmerTest's,
    of the chi-square distribution, which are too large for variances: on the boundary a mixture holds.

    Parameters
    ----------
    model : fitted mixed model
        The model.
    reduce_terms : bool
        Whether terms lose one slope at a time; otherwise each is left out as a whole. As in lmerTest a lone
        slope ``(0 + x | g)`` of a numeric variable becomes ``(1 | g)``, a model that is no smaller and has no
        p-value; False leaves it out.

    Returns
    -------
    AnovaTable
        One row a smaller model and ``<none>`` for the model itself; columns npar, logLik, AIC, LRT, Df,
        Pr(>Chisq), and Pr(>Chibar) from that mixture where one effect is left out.

    Raises
    ------
    NotAvailableError
        If the model has no random effects or no likelihood.

    References
    ----------
    Kuznetsova, Brockhoff & Christensen (2017), J. Stat. Softw. 82(13).

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> float(mm.ranova(m)["LRT"].round(2).iloc[1])
    42.84
    """
    if not isinstance(model, MixedFit) or not model.has_likelihood:
        raise NotAvailableError(
            f"ranova() needs a model with random effects that has a likelihood, not {shown(model)}."
        )
    one_of("reduce_terms", reduce_terms, (True, False))
    rows, values, chibar = ["<none>"], [_row(model.npar, model.loglik())], [np.nan]
    for smaller in reductions(model, reduce_terms):
        npar, loglik = _fitted(model, smaller.random)
        df = model.npar - npar
        # Optima agree to rounding where a variance is zero; a model inside another one is never better.
        lrt = 2.0 * (model.loglik() - loglik)
        values.append(_row(npar, loglik, max(lrt, 0.0) if df > 0 else lrt, df))
        rows.append(smaller.name)
        added = added_to_terms(smaller.random, model.random)
        chibar.append(float(boundary_p_value(values[-1][3], *added)) if added and df > 0 else np.nan)
    table = np.array(values)
    table[:, 5] = chi_square_tail(table[:, 3], table[:, 4])
    title = "ANOVA-like table for random-effects: Single term deletions"
    heading = [title, "", "Model:", _formula(model.design)]
    return with_boundary(table, np.array(chibar), rows, RANOVA_COLUMNS, heading)


def _row(npar: int, loglik: float, lrt: float = np.nan, df: float = np.nan) -> list[float]:
    return [npar, loglik, akaike(loglik, npar), lrt, df, np.nan]


@dataclass(frozen=True, slots=True)
class Reduction:
    """A model with fewer random effects.

    Attributes
    ----------
    name : str
        What is left out: ``"Days in (Days | Subject)"``.
    random : tuple of RandomTerm
        The terms of the smaller model.
    """

    name: str
    random: tuple[RandomTerm, ...]


def reductions(model: MixedFit, reduce_terms: bool = True) -> Iterator[Reduction]:
    """Yield the models with one random-effects term less or smaller, in the order of the formula."""
    refuse_nonlinear(model, "ranova()")
    design = model.design
    for bar in design.formula.bars:
        own = [t for t in design.random if _is_of(t, bar)]
        if not own:  # the same term twice in the formula
            continue
        others = tuple(t for t in design.random if not _is_of(t, bar))
        terms = expand_terms(bar.lhs, design.formula.text)
        scope = _droppable(terms) if reduce_terms and bar.structure in REDUCIBLE else []
        if not scope:
            yield Reduction(f"({bar})", others)
        for pattern in scope:
            name = f"{terms.label(pattern)} in ({bar})"
            parted = bar.split_from is not None  # one of the terms of (x || g), each with its own variance
            yield Reduction(name, others if parted else _with_smaller(model, own[0], bar, terms, pattern))


def _is_of(term: RandomTerm, bar: Bar) -> bool:
    return term.expression == str(bar)


def _droppable(terms: Terms) -> list[int]:
    """Return the terms of a left side that no other one contains."""
    return [p for p in terms.patterns if not any(q != p and q & p == p for q in terms.patterns)]


def _with_smaller(
    model: MixedFit, term: RandomTerm, bar: Bar, terms: Terms, pattern: int
) -> tuple[RandomTerm, ...]:
    """Return the random-effects terms, one of them without a part of its left side."""
    if isinstance(model.data, AbsentRows):
        return _with_fewer_columns(model, term, terms.label(pattern))
    left = [terms.label(p) for p in terms.patterns if p != pattern]
    # A term that loses its last variable keeps an intercept, as in lmerTest.
    sides = ["1" if terms.intercept or not left else "0", *left]
    inside = f"{' + '.join(sides)} | {deparse(bar.group)}" + (", hom = TRUE" if bar.homogeneous else "")
    design = model.design
    smaller = build_design(
        f"{design.response.text} ~ 1 + {bar.structure}({inside})",
        used_variables(model.data, design),
        env=design.recipe.env,
    ).random[0]
    fitting = replace(smaller, codes=term.codes, levels=term.levels, relationship=term.relationship)
    others = [t for t in design.random if not _is_of(t, bar)]
    if any(t.group == fitting.group and t.columns == fitting.columns for t in others):
        return tuple(others)
    return tuple(fitting if _is_of(t, bar) else t for t in design.random)


def _with_fewer_columns(model: MixedFit, term: RandomTerm, label: str) -> tuple[RandomTerm, ...]:
    """Return the terms of a model without rows, one of them without the columns of a variable.

    Raises
    ------
    NotAvailableError
        If it would need a column that it has not.
    """
    design = model.design
    (recipe,) = (r for t, r in zip(design.random, design.recipe.random, strict=True) if t is term)
    of_column = column_terms(recipe.matrix)
    kept = [k for k, place in enumerate(recipe.selected) if of_column[place] != label]
    if not kept:
        raise NotAvailableError(
            f"ranova() of a model fitted to sums cannot put an intercept in place of ({term.expression}): "
            "write reduce_terms=False, or fit the smaller model with lmer() to the source."
        )
    whole: Any = term.Z
    Z: Any = whole.some(kept)
    structure: Any = replace(term.structure, size=len(kept))  # type: ignore[type-var]
    smaller = replace(term, Z=Z, columns=tuple(term.columns[k] for k in kept), structure=structure)
    return tuple(smaller if t is term else t for t in design.random)


def _fitted(model: MixedFit, random: tuple[RandomTerm, ...]) -> tuple[int, float]:
    """Return the number of parameters and the log-likelihood with other random effects, or none."""
    design, weights = model.design, model.prior_weights
    if random:
        fit = model.with_design(replace(design, random=random))
        return fit.npar, fit.loglik()
    family = model.family()
    if isinstance(model, LinearFit) and isinstance(model.data, AbsentRows):
        # At theta = 0 the criterion is that of the linear model.
        nothing = np.zeros(len(model.theta_values))
        return len(model.beta) + 1, -0.5 * evaluate(model.problem, nothing, model.is_reml)
    if family is None:
        least = fit_least_squares(model.y, design.X, weights, design.offset)
        return len(least.beta) + 1, reml_log_likelihood(least, weights) if model.is_reml else least.loglik
    counted = model.counted if isinstance(model, GeneralizedFit) else None
    if counted is not None:
        c, rows = counted, counted.design
        plain = fit_glm(c.y, c.weights, rows.X, rows.offset, family, c.constant)
    else:
        constant = log_constant(design, model.y, weights, family)
        plain = fit_glm(model.y, weights, design.X, design.offset, family, constant)
    return len(plain.beta) + len(plain.phi), plain.loglik


def _formula(design: Design) -> str:
    """Return the formula with its terms written out, as lmerTest prints it."""
    parsed = design.formula
    recipe = design.recipe.fixed
    label = dict(zip(recipe.assign, column_terms(recipe), strict=True))
    patterns = [p for p in label if p]
    main = [label[p] for p in patterns if p.bit_count() == 1]
    products = [label[p] for p in patterns if p.bit_count() > 1]
    offsets = [f"offset({deparse(node)})" for node in design.recipe.offsets]
    bars = [f"({bar})" for bar in dict.fromkeys(map(str, parsed.bars))]
    left = [*main, *bars, *products, *offsets]
    return f"{design.response.text} ~ {' + '.join(left)}" + ("" if recipe.intercept else " - 1")
