"""What a diagnostic needs of the object it is given."""

from __future__ import annotations

from typing import Any

from mixedmodels.advice import shown
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit


def a_fit(model: Any, function: str) -> Fit:
    """Return the fit, or raise NotAvailableError if `model` is none."""
    if not isinstance(model, Fit):
        raise NotAvailableError(f"{function}() needs a fitted model; {shown(model)} is none.")
    return model


def a_mixed_fit(model: Any, function: str, instead: str = "") -> MixedFit:
    """Return the fit, or raise NotAvailableError if `model` has no random effects."""
    fit = a_fit(model, function)
    if not isinstance(fit, MixedFit):
        raise NotAvailableError(
            f"{function}() needs a model with random effects, from lmer() or glmer(){instead}."
        )
    return fit
