"""Explained variance: R-squared of mixed models and intraclass correlations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.control import one_of
from mixedmodels.diagnostics.distribution_variance import VarianceMethod
from mixedmodels.diagnostics.required import a_mixed_fit
from mixedmodels.diagnostics.rights_sterba import RightsSterba, rights_sterba
from mixedmodels.diagnostics.singular import is_singular
from mixedmodels.diagnostics.variance_components import VarianceComponents, variance_components
from mixedmodels.errors import ControlError
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.reports.html import Table
from mixedmodels.reports.page import Page, html_of

#: A fit is singular here below it, as in R's package performance; lme4's own is ten times as large.
SINGULAR = 1e-5
SINGULAR_NOTE = (
    "The fit is singular: a variance, or a combination of random effects, is zero, so that shares of "
    "variance mean little. Take that term out; tol=0 computes them all the same."
)
ROWS_NOTE = "All random effects are those of single rows, a part of the residual variance."


@dataclass(frozen=True, slots=True, repr=False)
class R2:
    """Explained variance of a mixed model.

    Attributes
    ----------
    marginal : float
        Share of the variance that the fixed effects explain.
    conditional : float
        Share that fixed and random effects explain together.
    variances : VarianceComponents
        The variances these are made of.
    note : str
        Why the numbers are NaN, or what to know of them; empty if nothing.
    """

    marginal: float
    conditional: float
    variances: VarianceComponents
    note: str = ""

    def __repr__(self) -> str:
        return _text(
            "R2 for mixed models",
            {"Conditional R2": self.conditional, "Marginal R2": self.marginal},
            self.note,
        )

    def _repr_html_(self) -> str:
        return html_of(repr(self))


@dataclass(frozen=True, slots=True, repr=False)
class ICC:
    """Intraclass correlation of a mixed model.

    Attributes
    ----------
    adjusted : float
        Share of the random effects in the variance that the fixed effects leave.
    unadjusted : float
        Their share in all of the variance.
    variances : VarianceComponents
        The variances these are made of.
    note : str
        Why the numbers are NaN, or what to know of them; empty if nothing.
    """

    adjusted: float
    unadjusted: float
    variances: VarianceComponents
    note: str = ""

    def __repr__(self) -> str:
        return _text(
            "Intraclass correlation coefficient",
            {"Adjusted ICC": self.adjusted, "Unadjusted ICC": self.unadjusted},
            self.note,
        )

    def _repr_html_(self) -> str:
        return html_of(repr(self))


def _text(title: str, values: dict[str, float], note: str) -> Page:
    width = max(map(len, values))
    texts = ["NA" if np.isnan(value) else f"{value:.3f}" for value in values.values()]
    lines = [f"  {name:>{width}}: {text}" for name, text in zip(values, texts, strict=True)]
    table = Table("\n".join(lines), tuple((text,) for text in texts), tuple(values), ("",))
    return Page([f"# {title}", "", table, *(["", note] if note else [])])


@advises
def r2(
    model: Any,
    *,
    method: Literal["nakagawa", "rights-sterba"] = "nakagawa",
    variance: VarianceMethod | None = None,
    mean: float | None = None,
    tol: float = SINGULAR,
) -> R2 | RightsSterba:
    """Return the variance that a mixed model explains.

    Parameters
    ----------
    model : fitted mixed model
        Of any family.
    method : {"nakagawa", "rights-sterba"}
        Marginal and conditional R-squared (Nakagawa, Johnson & Schielzeth 2017), random slopes by Johnson
        (2014); or, of a linear model with one grouping factor, the full decomposition of Rights & Sterba
        (2019).
    variance : {"theoretical", "delta", "lognormal", "trigamma"}, optional
        Variance of the distribution on the scale of the link. By default ``"theoretical"`` for the binomial
        families with logit, probit, cloglog and loglog links (pi^2/3, 1, pi^2/6), ``"lognormal"`` for log
        links (of a Poisson log(1 + 1/mu), in general log(1 + V/m^2) with mean and variance of the response,
        a zero part included), ``"delta"`` for all others. ``"trigamma"`` is for log links and the beta
        family's logit.
    mean : float, optional
        Mean of the response at which that variance is taken, of the counts before a zero part. By default
        that of the model without predictors, at random effects and an offset of zero.
    tol : float
        A fit that is singular at this tolerance has no R-squared: NaN, with a sentence. 0 computes it all
        the same.

    Returns
    -------
    R2 or RightsSterba
        A record that prints itself.

    Raises
    ------
    NotAvailableError
        If the model has no random effects, or the method is not for it.
    ControlError
        If the family does not have the variance asked for.

    Notes
    -----
    Random effects of single rows count as residual variance, as does the correlation of beta-binomial trials.
    A dispersion that is no parameter of the family (PQL) multiplies its variance. Prior weights of linear
    models are left out: the residual variance is that of a row of weight one.

    References
    ----------
    Nakagawa, Johnson & Schielzeth (2017), J. R. Soc. Interface 14: 20170213. Johnson (2014), Methods Ecol.
    Evol. 5: 944-946. Rights & Sterba (2019), Psychol. Methods 24: 309-338.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.r2(m)
    # R2 for mixed models
    <BLANKLINE>
      Conditional R2: 0.799
         Marginal R2: 0.279
    """
    fit = a_mixed_fit(model, "r2", "; of lm(), m.r_squared()")
    one_of("method", method, ("nakagawa", "rights-sterba"))
    if method == "rights-sterba":
        if variance is not None or mean is not None:
            raise ControlError("variance= and mean= are for method='nakagawa'.")
        return rights_sterba(fit)
    parts = variance_components(fit, variance, mean)
    note = _note(fit, parts, tol)
    if note == SINGULAR_NOTE:
        return R2(np.nan, np.nan, parts, note)
    return R2(parts.fixed / parts.total, (parts.fixed + parts.between) / parts.total, parts, note)


@advises
def icc(
    model: Any,
    *,
    by_group: bool = False,
    variance: VarianceMethod | None = None,
    mean: float | None = None,
    tol: float = SINGULAR,
) -> ICC | pd.DataFrame:
    """Return the intraclass correlation: the share of the variance that lies between groups.

    Parameters
    ----------
    model : fitted mixed model
        Of any family.
    by_group : bool
        Whether to return the part of each grouping factor in the adjusted one, which they add up to.
    variance, mean, tol
        As for :func:`r2`.

    Returns
    -------
    ICC or DataFrame
        A record that prints itself, or columns Group and ICC.

    Raises
    ------
    NotAvailableError
        If the model has no random effects.
    ControlError
        If the family does not have the variance asked for.

    Notes
    -----
    With random slopes the variance of a group's effects is the mean over the rows (Johnson 2014), so that
    shares by group add up. The variance of intercepts alone, which performance takes in their place by group,
    belongs to rows where the slopes' variables are zero, and can exceed the whole.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("strength ~ 1 + (1 | batch/cask)", mm.load_dataset("Pastes"))
    >>> mm.icc(m)
    # Intraclass correlation coefficient
    <BLANKLINE>
        Adjusted ICC: 0.937
      Unadjusted ICC: 0.937
    """
    fit = a_mixed_fit(model, "icc")
    one_of("by_group", by_group, (True, False))
    parts = variance_components(fit, variance, mean)
    note = _note(fit, parts, tol)
    known = np.nan if note == SINGULAR_NOTE else 1.0
    left = parts.between + parts.residual
    if by_group:
        shares = [known * value / left for value in parts.random.values()]
        table = pd.DataFrame({"Group": list(parts.random), "ICC": np.array(shares, dtype=float)})
        table.attrs["note"] = note
        return table
    return ICC(known * parts.between / left, known * parts.between / parts.total, parts, note)


def _note(fit: MixedFit, parts: VarianceComponents, tol: float) -> str:
    if is_singular(fit, tol):
        return SINGULAR_NOTE
    return "" if parts.random else ROWS_NOTE
