"""The family of a fit whose dispersion depends on predictors, at the rows of a design and at new ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import NotAvailableError
from mixedmodels.families.family import Family
from mixedmodels.families.modelled_dispersion import ModelledDispersion, check_has_dispersion
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.design import Design

with on_first_use():
    from mixedmodels.formula.design import new_residual


def with_dispersion_of(design: Design, family: Family) -> Family:
    """Return a family with the dispersion model that a design has; the family itself where it has none.

    Raises
    ------
    FamilyError
        If the family has no dispersion.
    """
    if not design.dispersion:
        return family
    (term,) = design.dispersion
    if isinstance(family, ModelledDispersion):
        return family.at(term.columns.values)
    check_has_dispersion(family)
    return ModelledDispersion(family, term.columns.values, term.function.parameter_names())


def family_at(model: Fit, newdata: Any) -> Family | None:
    """Return the family of a fit at new rows; that of its own rows where `newdata` is None.

    Raises
    ------
    DataError
        If a predictor of the dispersion is missing.
    """
    family = model.family()
    if newdata is None or not isinstance(family, ModelledDispersion):
        return family
    (term,) = model.design.dispersion
    return family.at(new_residual.new_variance_columns(model.design, term, newdata).values)


def row_dispersions(model: Fit, newdata: Any) -> FloatArray:
    """Return the dispersion parameter of the family at rows, shape (m,).

    Raises
    ------
    NotAvailableError
        If the family has none.
    """
    family = family_at(model, newdata)
    if not isinstance(family, ModelledDispersion):
        raise NotAvailableError("the model has no dispersion= whose values could differ between rows.")
    return np.asarray(family.dispersions(model.phi))


def dispersion_name(model: Fit) -> str:
    """Return what the family calls its dispersion parameter, whose logarithm is modelled."""
    family = model.family()
    assert isinstance(family, ModelledDispersion)
    return family.base.phi_names[0]
