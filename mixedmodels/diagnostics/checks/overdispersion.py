"""Whether counts vary more, or less, than their family allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtr, chdtrc

from mixedmodels.advice import advises
from mixedmodels.diagnostics.checks.record import SIGNIFICANT, Check, fine, p_text
from mixedmodels.diagnostics.required import a_fit
from mixedmodels.errors import NotAvailableError
from mixedmodels.families.family import Family
from mixedmodels.families.response import TRIALS_FAMILIES
from mixedmodels.fits.fit import Fit

#: What the names of families of counts hold.
COUNTS = ("poisson", "nbinom", "Negative Binomial")


@dataclass(frozen=True, slots=True, repr=False)
class OverdispersionCheck(Check):
    """Pearson's chi-squared against its degrees of freedom.

    Attributes
    ----------
    chisq : float
        Sum of the squared Pearson residuals.
    df : int
        Observations minus parameters.
    ratio : float
        Chi-squared over df: about 1 where the family is right.
    p_value : float
        Probability of a larger chi-squared.
    """

    chisq: float
    df: int
    ratio: float
    p_value: float

    @property
    def is_fine(self) -> bool | None:
        """Whether chi-squared is not too large for its degrees of freedom."""
        return fine(self.p_value)

    @property
    def sentence(self) -> str:
        """What was found."""
        if np.isnan(self.ratio):
            return "Overdispersion cannot be checked: the model has as many parameters as observations."
        found = (
            f"Pearson's chi-squared is {self.chisq:.4g} on {self.df} degrees of freedom, a dispersion ratio "
            f"of {self.ratio:.3g} ({p_text(self.p_value)})."
        )
        if self.p_value < SIGNIFICANT:
            return (
                f"{found} Overdispersion: the response varies more than its family allows. Add a random "
                "effect of each row, or take the negative binomial or the beta-binomial family."
            )
        if chdtr(self.df, self.chisq) < SIGNIFICANT:
            return f"{found} Underdispersion: the response varies less than its family says."
        return f"{found} No overdispersion detected."


@advises
def check_overdispersion(model: Any) -> OverdispersionCheck:
    """Check whether a response of counts or trials varies more than its family allows.

    Parameters
    ----------
    model : fitted model
        Of counts, or of numbers of successes in more than one trial.

    Returns
    -------
    OverdispersionCheck
        Pearson's chi-squared, its ratio to the degrees of freedom, and a p-value, as R's performance.

    Raises
    ------
    NotAvailableError
        If the response is continuous or holds single trials, or the model estimates a dispersion.

    Notes
    -----
    Residuals given the random effects: with few observations a level, chi-squared has fewer degrees of
    freedom than it is held against, and the ratio is below 1 for models that are right.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> cbpp = mm.load_dataset("cbpp")
    >>> m = mm.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, "binomial")
    >>> round(mm.check_overdispersion(m).ratio, 2)
    1.24
    """
    fit = a_fit(model, "check_overdispersion")
    _refuse(fit)
    chisq = float(np.sum(fit._raw_residuals("pearson") ** 2))
    df = fit.df_residual()
    if df <= 0:
        return OverdispersionCheck(chisq, df, np.nan, np.nan)
    return OverdispersionCheck(chisq, df, chisq / df, float(chdtrc(df, chisq)))


def counts(family: Family | None) -> bool:
    """Return whether a family is one of counts."""
    return family is not None and any(part in family.name for part in COUNTS)


def _refuse(fit: Fit) -> None:
    family = fit.family()
    name = "" if family is None else family.name
    if family is not None and (family.is_quasi or not fit.has_likelihood):
        raise NotAvailableError(
            "check_overdispersion() asks whether a dispersion is 1; this model estimates it: m.sigma() ** 2 "
            f"is {fit.sigma() ** 2:.3g}."
        )
    if family is None or not (counts(family) or name in TRIALS_FAMILIES):
        raise NotAvailableError(
            "check_overdispersion() is for counts and numbers of successes; the dispersion of a "
            f"{name or 'linear'} model is estimated from the data."
        )
    if name in TRIALS_FAMILIES and fit.prior_weights.max(initial=0.0) <= 1.0:
        raise NotAvailableError(
            "check_overdispersion() needs rows of more than one trial: single trials of 0 and 1 cannot be "
            "overdispersed."
        )
