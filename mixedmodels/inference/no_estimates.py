"""What rests on estimates is not to be had where a coefficient has none: under separation of the response."""

from __future__ import annotations

from mixedmodels.engines.glm.separation import NO_ESTIMATE
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.fit import Fit


def without_estimates(fit: Fit) -> str:
    """Return the sentences that say which parameters of a fit have no finite estimate; empty if all have."""
    if fit.family() is None:
        return ""
    return " ".join(reason for reason in fit.convergence().reasons if NO_ESTIMATE in reason)


def require_estimates(fit: Fit, what: str) -> None:
    """Raise unless all parameters of a fit have finite estimates.

    Parameters
    ----------
    fit : Fit
        The fit.
    what : str
        What needs them.

    Raises
    ------
    NotAvailableError
        If one has none; likelihood ratios are to be had there all the same.
    """
    if found := without_estimates(fit):
        raise NotAvailableError(
            f"{what} rests on estimates, and here there are not all: {found} Likelihood ratios, "
            "anova(m1, m2) and drop1(m), hold nevertheless."
        )
