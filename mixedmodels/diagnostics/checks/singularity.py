"""Whether a fit is singular, and which term is why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixedmodels.advice import advises
from mixedmodels.diagnostics.checks.record import Check
from mixedmodels.diagnostics.required import a_mixed_fit
from mixedmodels.diagnostics.singular import SINGULAR_TOLERANCE, is_singular
from mixedmodels.formula.design.theta import term_factors


@dataclass(frozen=True, slots=True, repr=False)
class SingularityCheck(Check):
    """Whether a variance, or a combination of random effects, is zero.

    Attributes
    ----------
    singular : bool
        Whether it is.
    smallest : dict
        By term, its smallest standard deviation in any direction, relative to the residual one (a linear
        model), from the singular values of T.
    tolerance : float
        What counts as zero.
    """

    singular: bool
    smallest: dict[str, float]
    tolerance: float

    @property
    def is_fine(self) -> bool | None:
        """Whether the fit is not singular."""
        return not self.singular

    @property
    def sentence(self) -> str:
        """What was found."""
        label = min(self.smallest, key=lambda name: self.smallest[name])
        found = f"the smallest relative standard deviation is {self.smallest[label]:.3g}, of ({label})"
        if not self.singular:
            return f"The fit is not singular: {found}."
        return (
            f"The fit is singular: {found}. Its random effects are more than the data support; see rePCA(m)."
        )


@advises
def check_singularity(model: Any, *, tol: float = SINGULAR_TOLERANCE) -> SingularityCheck:
    """Check whether a variance, or a combination of random effects, is zero.

    Parameters
    ----------
    model : fitted mixed model
        The model.
    tol : float
        What counts as zero, as for :func:`mixedmodels.is_singular`.

    Returns
    -------
    SingularityCheck
        Prints a sentence; `singular` and the numbers behind it are attributes.

    Raises
    ------
    NotAvailableError
        If the model has no random effects.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff2"))
    >>> mm.check_singularity(m).singular
    True
    """
    fit = a_mixed_fit(model, "check_singularity")
    factors = term_factors(fit.random, fit.theta_values)
    smallest = {
        term.expression: float(np.linalg.svd(T, compute_uv=False)[-1])
        for term, T in zip(fit.random, factors, strict=True)
    }
    return SingularityCheck(is_singular(fit, tol), smallest, tol)
