"""Tests of all terms of a model by its marginal means: ``joint_tests(m)``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.contrasts import upper_tail
from mixedmodels.inference.emmeans.averaging import Weights
from mixedmodels.inference.emmeans.contrasting import contrast, interaction_contrast
from mixedmodels.inference.emmeans.grid import Grid
from mixedmodels.inference.emmeans.joint import JointTest, joint_test, tests_table
from mixedmodels.inference.emmeans.linear_functions import Basis, basis_of, families
from mixedmodels.inference.emmeans.marginal import check_model, means_of_grid
from mixedmodels.inference.emmeans.reference_grid import reference_grid, term_variables
from mixedmodels.inference.emmeans.specs import parse_specs
from mixedmodels.inference.emmeans.summary_table import EmmeansTable
from mixedmodels.inference.fixed_effects import Ddf


@advises
def joint_tests(
    model: Fit,
    by: str | Sequence[str] | None = None,
    *,
    at: Any = None,
    weights: Weights = "equal",
    ddf: Ddf = "default",
    vcov: Any = None,
) -> EmmeansTable:
    """Test every term of a model by the interaction contrasts of its marginal means.

    Main effects are tested at the mean of the other factors, as type 3 tests are under sum contrasts,
    whatever the contrasts of the fit. Covariates stand at two values, their mean plus and minus one, so that
    a test of one is that of its slope. What is estimable but in no term's test, as in designs with empty
    cells, is tested as ``(confounded)``.

    Parameters
    ----------
    model : fitted model
        Of any kind.
    by : str or list of str, optional
        Variables at each of whose levels the others are tested.
    at : dict, optional
        Variable -> values in place of all levels, or of the mean plus and minus one.
    weights : {"equal", "proportional", "outer", "cells", "flat"} or array_like
        Weights of the cells averaged over.
    ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z"}
        Degrees of freedom. The table has, as emmeans, the smallest of the orthogonal contrasts of a test.
    vcov : optional
        Another covariance of the fixed effects.

    Returns
    -------
    EmmeansTable
        A DataFrame with columns model term, df1, df2, F.ratio and p.value.

    Raises
    ------
    ControlError
        If `by` is no variable of the fixed effects, or nothing is left to test.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("yield ~ nitro * Variety + (1 | Block/Variety)", mm.load_dataset("Oats"))
    >>> mm.joint_tests(m)[["model term", "df1"]].to_numpy().tolist()
    [['nitro', 1], ['Variety', 2], ['nitro:Variety', 2]]
    """
    check_model(model, "joint_tests")
    grid = reference_grid(model, at, _mean_and_one, ())
    specs = parse_specs((), by, grid.names)
    factors = [name for name in grid.names if name not in specs.by and len(grid.levels[name]) > 1]
    if not factors:
        raise ControlError("joint_tests() needs at least one factor or covariate that is not in by.")
    basis = basis_of(model, ddf, vcov)
    terms = term_variables(model)
    found = _tests_of_terms(model, grid, basis, factors, specs.by, terms, weights)
    found += _confounded(model, grid, basis, specs.by, found)
    kept = [(head, test) for head, test in found if test.df1 > 0]
    heads = pd.DataFrame([head for head, _ in kept], columns=["model term", *specs.by])
    return tests_table(heads, [test for _, test in kept], specs.by)


def _mean_and_one(values: FloatArray) -> FloatArray:
    return np.array([np.mean(values) - 1.0, np.mean(values) + 1.0])


#: Label of the term, then the levels of the variables in by.
Head = tuple[Any, ...]


def _tests_of_terms(
    model: Fit,
    grid: Grid,
    basis: Basis,
    factors: Sequence[str],
    by: tuple[str, ...],
    terms: Sequence[frozenset[str]],
    weights: Weights,
) -> list[tuple[Head, JointTest]]:
    """Return the tests of all combinations of factors that stand together in some term, by their order."""
    found: list[tuple[Head, JointTest]] = []
    combined = [c for k in range(len(factors)) for c in combinations(factors, k + 1)]
    nests = [(frozenset([name, *outer])) for name, outer in grid.nesting.items()]
    for chosen in combined:
        if not any(set(chosen) <= term for term in [*terms, *nests]):
            continue
        outer = {o for name in chosen for o in grid.nesting.get(name, ())}
        if not outer <= {*chosen, *by}:
            continue
        means = means_of_grid(model, grid, basis, chosen, by, weights)
        inner = [name for name in chosen if name not in outer]
        contrasts = interaction_contrast(means, ["consec"], [str(n) for n in means.labels if n not in inner])
        for rows in families(contrasts, by):
            head = (":".join(chosen), *contrasts.labels[list(by)].iloc[rows[0]])
            found.append((head, joint_test(basis, contrasts.L[rows], contrasts.offset[rows])))
    return found


def _confounded(
    model: Fit, grid: Grid, basis: Basis, by: tuple[str, ...], found: Sequence[tuple[Head, JointTest]]
) -> list[tuple[Head, JointTest]]:
    """Return, for each family, the test of what differs among the cells but is in no term's test."""
    cells = means_of_grid(model, grid, basis, [name for name in grid.names if name not in by], by, "equal")
    differences = contrast(cells, "consec", by)
    extra = []
    for rows in families(differences, by):
        levels = tuple(differences.labels[list(by)].iloc[rows[0]])
        every = joint_test(basis, differences.L[rows], differences.offset[rows])
        tested = [test.L for head, test in found if head[1:] == levels]
        L = np.vstack(tested) if tested else np.zeros((0, differences.L.shape[1]))
        of_terms = joint_test(basis, L, np.zeros(len(L)))
        df1 = every.df1 - of_terms.df1
        if df1 > 0:
            explained = of_terms.df1 * of_terms.F if of_terms.df1 else 0.0
            F = (every.df1 * every.F - explained) / df1
            rest = JointTest(df1, every.df2, F, upper_tail(F, df1, every.df2), "", L[:0])
            extra.append((("(confounded)", *levels), rest))
    return extra
