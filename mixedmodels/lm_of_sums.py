"""Fit a linear model to sums over its rows: moments, or a source that is read in batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixedmodels import lmer_of_sums
from mixedmodels.checks import check_design, refuse_random_terms
from mixedmodels.control import LmerControl
from mixedmodels.models.summed_lm import SummedLinearModel, least_squares_of_sums
from mixedmodels.moments import Moments


def fit(formula: str | Moments, data: Any, asked: Mapping[str, Any]) -> SummedLinearModel:
    """Fit the model; arguments as for :func:`mixedmodels.lm`.

    Parameters
    ----------
    asked : mapping
        Arguments that decide what is summed; None where they were not given.

    Raises
    ------
    ControlError, DataError
        If arguments came after the sums were made, or there are too few rows.
    """
    sums = lmer_of_sums.summed(
        formula, data, {name: value for name, value in asked.items() if value is not None}
    )
    design = sums.fitting_design({})
    refuse_random_terms(design.design, "lm", "lmer")
    check_design(design.design, LmerControl(), linear=False)
    return SummedLinearModel(design, sums.call(), least_squares_of_sums(design))
