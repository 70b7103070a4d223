"""Estimated marginal means: ``emmeans(m, "treatment")``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from mixedmodels.advice import advises
from mixedmodels.control import one_of
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.emmeans.adjustment import adjustment_named
from mixedmodels.inference.emmeans.averaging import Weights
from mixedmodels.inference.emmeans.linear_functions import LinearFunctions, Scale, basis_of
from mixedmodels.inference.emmeans.marginal import check_model, means_of_grid
from mixedmodels.inference.emmeans.marginal_means import MarginalMeans, MeansAndContrasts
from mixedmodels.inference.emmeans.reference_grid import CovReduce, reference_grid
from mixedmodels.inference.emmeans.specs import Specs, parse_specs
from mixedmodels.inference.fixed_effects import Ddf
from mixedmodels.inference.wald import check_level


@advises
def emmeans(
    model: Fit,
    specs: str | Sequence[str],
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: Weights = "equal",
    type: Scale = "link",
    ddf: Ddf = "default",
    vcov: Any = None,
    level: float = 0.95,
    adjust: str | None = None,
    offset: float | None = None,
    cov_reduce: CovReduce | None = None,
    cov_keep: Sequence[str] = (),
    bias_adjust: bool = False,
    sigma: float | None = None,
) -> MarginalMeans:
    """Return estimated marginal means: predictions at the levels of some factors, averaged over the others.

    Parameters
    ----------
    model : fitted model
        Of any kind; the random effects of a mixed model are at zero.
    specs : str or list of str
        Factors whose levels the means are of: ``"treatment"``, ``["a", "b"]``, ``"~ a * b"``, with families
        behind a bar, ``"~ a | b"``. ``"~ 1"`` is one mean of all. A method before the tilde asks for
        contrasts too: ``"pairwise ~ a"``.
    by : str or list of str, optional
        Variables whose levels divide the means into families.
    at : dict, optional
        Variable -> values. By default factors stand at all levels, covariates at their mean, and those with
        two values at both.
    weights : {"equal", "proportional", "outer", "cells", "flat"} or array_like
        Weights of the cells averaged over: equal; by their frequency; by the product of the margins; by the
        frequency of each cell within its mean; equal among the cells that occur; or numbers for the
        combinations averaged over, the first factor varying fastest.
    type : {"link", "response"}
        Scale of tables: that of the linear predictor, or that of the response with limits transformed and
        contrasts of logarithms as ratios.
    ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z"}
        Degrees of freedom.
    vcov : optional
        Another covariance of the fixed effects.
    level : float
        Confidence level.
    adjust : str, optional
        Adjustment of limits and p-values: tukey, holm, hochberg, hommel, bonferroni, sidak, scheffe,
        dunnettx, mvt, fdr, bh, by or none; by default none for means and what suits the contrasts.
    offset : float, optional
        Offset of every mean in place of the mean one.
    cov_reduce : callable, optional
        What is taken of covariates in place of the mean; several values make a factor of them.
    cov_keep : sequence of str
        Covariates to keep at all of their values.
    bias_adjust : bool
        Whether back-transformed means are adjusted for the spread around the linear predictor, `sigma`.
    sigma : float, optional
        Its standard deviation; for models without random effects that of the residuals.

    Returns
    -------
    MarginalMeans
        The means; where `specs` names a method, MeansAndContrasts, which holds `contrasts` too.

    Raises
    ------
    ControlError
        If a variable is unknown, or an option has a value that it cannot have.
    DataError
        If `at` has a level that a factor does not have.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("yield ~ nitro + Variety + (1 | Block/Variety)", mm.load_dataset("Oats"))
    >>> mm.emmeans(m, "Variety").to_frame()["emmean"].round(1).tolist()
    [104.5, 109.8, 97.6]
    """
    check_model(model, "emmeans")
    one_of("type", type, get_args(Scale))
    check_level(level)
    chosen = None if adjust is None else adjustment_named(adjust)
    grid = reference_grid(model, at, cov_reduce, cov_keep, offset)
    asked = parse_specs(specs, by, grid.names)
    means = means_of_grid(model, grid, basis_of(model, ddf, vcov), asked.factors, asked.by, weights)
    means = replace(
        means,
        type=type,
        level=level,
        bias_adjust=bias_adjust,
        sigma=means.sigma if sigma is None else sigma,
    )
    return with_contrasts(means, asked, chosen)


def with_contrasts(means: LinearFunctions, asked: Specs, adjust: str | None) -> MarginalMeans:
    """Return means as they are shown, with the contrasts asked for; an adjustment is for those."""
    if asked.contrast is None:
        family = means.family if adjust is None else replace(means.family, adjust=adjust)
        return MarginalMeans(replace(means, family=family))
    shown = MarginalMeans(means)
    return MeansAndContrasts(shown, shown.contrast(asked.contrast, adjust=adjust))
