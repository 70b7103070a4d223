"""Whether counts hold more zeros than their family expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixedmodels.advice import advises
from mixedmodels.diagnostics.checks.overdispersion import counts
from mixedmodels.diagnostics.checks.record import Check
from mixedmodels.diagnostics.required import a_fit
from mixedmodels.errors import ControlError, NotAvailableError

#: Share by which predicted and observed numbers of zeros may differ.
TOLERANCE = 0.05


@dataclass(frozen=True, slots=True, repr=False)
class ZeroInflationCheck(Check):
    """Zeros observed and expected.

    Attributes
    ----------
    observed : int
        Zeros of the response.
    predicted : float
        Sum of the probabilities of a zero, given the random effects.
    ratio : float
        Predicted over observed; NaN without zeros.
    tolerance : float
        How far the ratio may be from 1.
    """

    observed: int
    predicted: float
    ratio: float
    tolerance: float

    @property
    def is_fine(self) -> bool | None:
        """Whether the model expects enough zeros."""
        return None if np.isnan(self.ratio) else bool(self.ratio >= 1.0 - self.tolerance)

    @property
    def sentence(self) -> str:
        """What was found."""
        if np.isnan(self.ratio):
            return "The response has no zeros, so there is no zero inflation."
        found = f"{self.observed} zeros observed, {self.predicted:.1f} expected, a ratio of {self.ratio:.2f}."
        if not self.is_fine:
            return (
                f"{found} Probable zero inflation: the model expects too few zeros. A negative "
                "binomial family, or zi=True, may help."
            )
        if self.ratio > 1.0 + self.tolerance:
            return f"{found} The model expects more zeros than there are."
        return f"{found} No zero inflation detected."


@advises
def check_zero_inflation(model: Any, *, tolerance: float = TOLERANCE) -> ZeroInflationCheck:
    """Check whether a response of counts holds more zeros than its family expects.

    Parameters
    ----------
    model : fitted model
        Of counts.
    tolerance : float
        How far the ratio of expected to observed zeros may be from 1.

    Returns
    -------
    ZeroInflationCheck
        Zeros observed, expected and their ratio, as R's performance, which rounds the expected ones.

    Raises
    ------
    NotAvailableError
        If the response is no count, or the family has no zeros.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> ticks = mm.load_dataset("grouseticks")
    >>> m = mm.glmer("TICKS ~ YEAR + (1 | BROOD)", ticks, "poisson")
    >>> mm.check_zero_inflation(m).observed
    126
    """
    fit = a_fit(model, "check_zero_inflation")
    family = fit.family()
    if family is None or not counts(family):
        raise NotAvailableError(
            "check_zero_inflation() is for counts: Poisson and negative binomial families, not a "
            f"{'linear' if family is None else family.name} model."
        )
    if family.is_quasi or not fit.has_likelihood:
        raise NotAvailableError(
            "check_zero_inflation() needs the probability of a zero, which a quasi-likelihood does not have."
        )
    if family.name.startswith("truncated"):
        raise NotAvailableError(f"the {family.name} family has no zeros.")
    number = isinstance(tolerance, (int, float)) and not isinstance(tolerance, bool)
    if not number or not 0.0 <= tolerance < 1.0:
        raise ControlError(f"tolerance must be a number from 0 to below 1, not {tolerance!r}.")
    used = fit.prior_weights > 0.0
    eta = fit.linear_predictor[used]
    zeros = np.zeros_like(eta)
    log_probability = family.evaluate(zeros, eta, np.ones_like(eta), fit.phi).loglik
    observed = int(np.count_nonzero(fit.y[used] == 0.0))
    predicted = float(np.exp(log_probability).sum())
    ratio = predicted / observed if observed else np.nan
    return ZeroInflationCheck(observed, predicted, ratio, tolerance)
