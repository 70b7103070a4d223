"""The formula language: from a formula and data to the design of a model.

A formula is R's, as lme4 reads it; it is parsed and evaluated by walking its tree, never executed.

Fixed part
    ``+ - * : / ^ %in% .`` and parentheses, ``0`` or ``-1`` for no intercept, ``offset(...)``. Factors are
    coded by R's rule: contrasts where the margin is in the model, indicators elsewhere. Dependent columns
    are dropped, the first ones kept.
Random effects
    ``(x | g)`` correlated, ``(x || g)`` uncorrelated for every column, a factor's included, grouping by
    ``a``, ``a:b``, ``a/b``, ``a*b``, ``a + b`` or a call; ``us() diag() cs() ar1()`` around a bar choose a
    covariance structure, with ``hom = TRUE`` or ``FALSE``.
Functions
    Those of `mixedmodels.formula.evaluation.functions`, and callables passed in `env`. The ones that look at
    a whole variable (``poly bs ns scale center cut factor mean sd quantile ave`` ...) remember their training
    data.
Names
    Dots are part of a name; any other name goes in backticks. ``pi``, ``T`` and ``F`` are R's where no
    column has that name. ``**``, ``True``, ``False`` and ``None`` are understood as R's ``^``, ``TRUE``,
    ``FALSE`` and ``NULL``.
Factors
    Categoricals keep the order of their levels, and lose those that no row used has. Strings are sorted by
    code point, whatever the locale (R sorts by the locale); numbers are sorted as numbers. Ordered
    categoricals get polynomial contrasts, booleans ``xTRUE``.
Missing values
    A row with a missing value in any variable of the model, in `weights` or in `offset` is dropped once
    for all parts. Variables are evaluated on all rows first, as in R, then `subset` is applied.
"""

from mixedmodels.formula.design.build import build_design
from mixedmodels.formula.design.checks import check_random_terms
from mixedmodels.formula.language.parse import parse_formula

__all__ = ["build_design", "check_random_terms", "parse_formula"]
