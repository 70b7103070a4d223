"""Single-term deletions: each fixed-effects term left out in turn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixedmodels.advice import advises, shown
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.fits.columns import column_terms
from mixedmodels.fits.criteria import akaike
from mixedmodels.fits.fit import Fit
from mixedmodels.formula import build_design
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.kept_data import used_variables
from mixedmodels.inference.anova import AnovaTable, make_table
from mixedmodels.inference.comparison import chi_square_tail

DROP1_COLUMNS = ("npar", "AIC", "LRT", "Pr(Chi)")


@advises
def drop1(model: Fit) -> AnovaTable:
    """Test each term of the fixed effects that is not contained in another one.

    Models fitted by REML are refitted by maximum likelihood, the smaller models too.

    Returns
    -------
    AnovaTable
        One row per term and ``<none>`` for the model itself; columns npar (parameters dropped), AIC, LRT
        and Pr(Chi).

    Raises
    ------
    NotAvailableError
        If the model has no likelihood.
    """
    if not isinstance(model, Fit):
        raise ControlError(f"drop1() needs a fitted model, not {shown(model)}.")
    full = model.refitML()
    rows, values = ["<none>"], [(np.nan, full.aic(), np.nan, np.nan)]
    for label in droppable(model.design):
        smaller = full.with_design(without_term(full, label))
        npar = full.npar - smaller.npar
        lrt = max(2.0 * (full.loglik() - smaller.loglik()), 0.0)
        tail = chi_square_tail(np.array([lrt]), np.array([float(npar)]))
        values.append((npar, akaike(smaller.loglik(), smaller.npar), lrt, float(tail[0])))
        rows.append(label)
    heading = ["Single term deletions", "", "Model:", model.formula()]
    return make_table(np.array(values, dtype=np.float64), rows, DROP1_COLUMNS, heading)


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
        design, X=smaller.X, x_names=smaller.x_names, dropped=smaller.dropped, formula=smaller.formula
    )
