"""Whether likelihoods and criteria of several fits are comparable: the same rows, response and likelihood."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedmodels.absent_rows import AbsentRows
from mixedmodels.fits.fit import Fit


def different_sizes(models: Sequence[Fit]) -> str:
    """Return a sentence if the fits do not have the same number of observations, else nothing."""
    sizes = [m.nobs() for m in models]
    if len(set(sizes)) == 1:
        return ""
    return (
        f"models were not all fitted to the same size of dataset: they use {', '.join(map(str, sizes))} "
        "observations. Rows with missing values may have been dropped from some; fit all models to the rows "
        "complete in every variable."
    )


def different_responses(models: Sequence[Fit]) -> str:
    """Return a sentence if the fits, of equal size, do not have the same response, else nothing."""
    first = models[0]
    if any(m.design.response.text != first.design.response.text for m in models) or any(
        not np.array_equal(m.y, first.y) for m in models
    ):
        return "all models must be fit to the same response."
    if any(not _same_rows(m, first) for m in models[1:]):
        return (
            "models were not all fitted to the same rows of the data, only to the same number of them: rows "
            "with missing values or a subset differ. Fit all models to the rows complete in every variable."
        )
    return ""


def _same_rows(one: Fit, other: Fit) -> bool:
    """Tell whether two fits with equal responses use the same rows, as far as their records show."""
    if one.call.subset != other.call.subset:
        return one.design.index.equals(other.design.index)
    missing = one.design.missing
    if missing.n_input != other.design.missing.n_input:
        return True
    if isinstance(missing.kept, AbsentRows):
        return True
    return np.array_equal(missing.kept, other.design.missing.kept)


def different_criteria(models: Sequence[Fit]) -> str:
    """Return a sentence if REML criteria are to be compared that are not comparable, else nothing."""
    reml = [m for m in models if m.is_reml]
    if reml and len(reml) < len(models):
        return "some models fit with REML = TRUE, some not: their criteria are not comparable."
    if len({m.design.x_names for m in reml}) > 1:
        return "REML criteria of models with different fixed effects are not comparable."
    return ""


def different_approximations(models: Sequence[Fit], names: Sequence[str]) -> str:
    """Return a sentence if the likelihoods are approximated in different ways, else nothing.

    A model without an integral has its exact likelihood, which goes with every approximation.
    """
    ways = {
        name: m.approximation for name, m in zip(names, models, strict=True) if m.approximation is not None
    }
    if len(set(ways.values())) < 2:
        return ""
    shown = ", ".join(f"{name} has {way}" for name, way in ways.items())
    return (
        "the likelihoods of these models are different approximations, whose difference says nothing about "
        f"the models: {shown}. Refit them with the same nAGQ and the same hessian."
    )


def described(model: Fit) -> str:
    """Return the formula of a model, with the arguments that say the rest of it."""
    names = ("fixed", "random", "groups", "residual", "dispersion")
    given = ((name, model.call.arguments.get(name)) for name in names)
    shown = (
        f'{name}="{value}"' if isinstance(value, str) else f"{name}={value!r}"
        for name, value in given
        if value is not None
    )
    return ", ".join([model.formula(), *shown])
