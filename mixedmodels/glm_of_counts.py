"""Fit a generalized linear model to a source that is read in batches, its equal rows counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mixedmodels.checks import (
    check_design,
    check_two_levels,
    refuse_offset,
    refuse_random_terms,
    warn_if_family_forgotten,
)
from mixedmodels.control import LmerControl
from mixedmodels.errors import FamilyError
from mixedmodels.families import get_family, initialize, log_constant
from mixedmodels.fits.counted_design import counted_design
from mixedmodels.formula.design.chunks import stream_request
from mixedmodels.generalized_request import judged_estimates
from mixedmodels.glmer_of_counts import (
    are_multiples,
    counted_rows_of,
    naming_batch_at_fault,
    summary_of_table,
)
from mixedmodels.models.counted_glm import CountedGeneralizedLinearModel, estimates_of_counts
from mixedmodels.request import read_request
from mixedmodels.streams.open_source import is_stream, open_source


def is_asked(formula: object, data: object) -> bool:
    """Tell whether a model is to be fitted to the counted rows of a source."""
    return isinstance(formula, str) and is_stream(data)


def fit(formula: str, data: Any, family: Any, asked: Mapping[str, Any]) -> CountedGeneralizedLinearModel:
    """Fit the model; arguments as for :func:`mixedmodels.glm`.

    Parameters
    ----------
    asked : mapping
        Arguments that decide which rows there are.

    Raises
    ------
    FormulaError, DataError, FamilyError
        If the formula, a batch or the family is at fault, or the family needs every row by itself.
    """
    chosen = get_family("gaussian" if family is None else family)
    if not are_multiples(chosen):
        raise FamilyError(
            f"the {chosen.name} family needs every row by itself, and glm() of a source counts equal rows: "
            "give data as one table, such as pd.read_parquet(path, columns=[...])"
            + (", or take lm(), which reads sources." if chosen.name == "gaussian" else ".")
        )
    opened = open_source(data)
    wanted = stream_request(formula, opened.columns(), **asked)
    table, counts, states = counted_rows_of(opened, wanted)
    with naming_batch_at_fault(opened, wanted):
        request = read_request(formula, table, states=states, **asked)
    design = request.design
    refuse_random_terms(design, "glm", "glmer")
    if family is None:
        warn_if_family_forgotten("glm", design)
    check_two_levels(design.response)
    refuse_offset(design, chosen)
    y, weights = initialize(design.response, design.weights, chosen)
    counted = counted_design(design, y, weights, log_constant(design, y, weights, chosen), counts)
    counted = replace(counted, summary=summary_of_table(design, table, counts))
    check_design(counted.without_rows(), LmerControl(), linear=False)
    estimates = judged_estimates(
        design, request.data, counted.y, counted.weights, chosen, lambda: estimates_of_counts(counted, chosen)
    )
    return CountedGeneralizedLinearModel(counted, replace(request.call, data=None), chosen, estimates)
