"""Which random effects a picture is of, and their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import shown
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError, DataError, listed
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.formula.design.kept_data import used_variables
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.syntax_tree import names_in
from mixedmodels.inference.ranef import RandomEffects
from mixedmodels.inference.wald import check_level


def random_effects(fit: MixedFit) -> RandomEffects:
    """Return the conditional modes with their conditional variances."""
    return RandomEffects(fit.random, fit.b, fit._conditional_covariances())


def chosen_probabilities(levels: Any) -> list[float]:
    """Return levels of confidence, one or more.

    Raises
    ------
    ControlError
        If there is none, or one is no probability.
    """
    found = [levels] if np.ndim(levels) == 0 else list(levels)
    if not found:
        raise ControlError("levels must have a level of confidence or more, such as [0.5, 0.95].")
    for level in found:
        check_level(level)
    return found


def chosen_groups(fit: MixedFit, group: Any) -> list[str]:
    """Return the grouping factors asked for, all by default.

    Raises
    ------
    ControlError
        If the model does not have one of them.
    """
    known = list(fit.ngrps())
    asked = known if group is None else _names("group", group)
    for name in asked:
        if name not in known:
            raise ControlError(
                f"the model has no grouping factor {name!r}; its grouping factors are {listed(known)}."
            )
    return asked


def chosen_cells(fit: MixedFit, group: Any, columns: Any) -> dict[str, list[str]]:
    """Return the random coefficients asked for by grouping factor.

    Without `group` those of every factor that has one of them.

    Raises
    ------
    ControlError
        If there is no such factor or coefficient.
    """
    groups = chosen_groups(fit, group)
    if group is not None or columns is None:
        return {name: chosen_columns(fit, name, columns) for name in groups}
    wanted = _names("columns", columns)
    found = {name: [c for c in wanted if c in columns_of(fit, name)] for name in groups}
    known = [column for name in groups for column in columns_of(fit, name)]
    for column in wanted:
        if column not in known:
            raise ControlError(f"there is no random coefficient {column!r}; they are {listed(known)}.")
    return {name: own for name, own in found.items() if own}


def one_group(fit: MixedFit, group: Any, size: int = 1) -> str:
    """Return one grouping factor, by default the first that has `size` random coefficients or more.

    Raises
    ------
    ControlError
        If there is none of that name.
    """
    if group is not None and not isinstance(group, str):
        raise ControlError(f"group must be the name of one grouping factor, not {shown(group)}.")
    groups = chosen_groups(fit, group)
    return next((name for name in groups if len(columns_of(fit, name)) >= size), groups[0])


def columns_of(fit: MixedFit, group: str) -> list[str]:
    """Return the names of the random coefficients of one grouping factor."""
    return [column for term in fit.random if term.group == group for column in term.columns]


def chosen_columns(fit: MixedFit, group: str, columns: Any) -> list[str]:
    """Return the random coefficients of one grouping factor asked for, all by default.

    Raises
    ------
    ControlError
        If it does not have one of them.
    """
    known = columns_of(fit, group)
    asked = list(dict.fromkeys(known)) if columns is None else _names("columns", columns)
    for name in asked:
        if name not in known:
            raise ControlError(f"{group} has no random coefficient {name!r}; it has {listed(known)}.")
    return asked


def _names(argument: str, given: Any) -> list[str]:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Sequence) or not names or not all(isinstance(n, str) for n in names):
        raise ControlError(f"{argument} must be a name or a list of names, not {shown(given)}.")
    return list(dict.fromkeys(names))


def rows_used(fit: Fit) -> pd.DataFrame:
    """Return the variables of the model, an offset that is an expression of columns included, at its rows.

    Raises
    ------
    DataError
        If only labels that occur twice tell which rows those are.
    """
    design = fit.design
    frame = used_variables(fit.data, design)
    text = design.recipe.offset_argument
    for name in [] if text is None else [node.name for node in names_in(parse_expression(text))]:
        if name in fit.data and name not in frame:
            column = fit.data[name]
            labelled = column if isinstance(column, pd.Series) else pd.Series(np.asarray(column))
            frame = frame.assign(**{name: labelled.loc[frame.index] if frame.index.is_unique else labelled})
    if len(frame) == design.n_rows:
        return frame
    if len(frame) == design.missing.n_input:
        return frame.iloc[design.missing.kept]
    raise DataError(
        "the rows of the subset that was fitted cannot be told, because labels of the data occur twice; fit "
        "the model to data.reset_index(drop=True)"
    )


def covariance_of(fit: MixedFit, group: str) -> pd.DataFrame:
    """Return the covariance matrix of all random coefficients of one grouping factor."""
    names = columns_of(fit, group)
    total = np.zeros((len(names), len(names)))
    start = 0
    for term, estimated in zip(fit.random, fit.term_covariances(), strict=True):
        if term.group == group:
            stop = start + term.size
            total[start:stop, start:stop] = estimated.covariance
            start = stop
    return pd.DataFrame(total, index=names, columns=names)


def limits(estimate: FloatArray, se: FloatArray, quantile: float) -> Mapping[str, FloatArray]:
    """Return the columns ``lower`` and ``upper`` of normal limits."""
    return {"lower": estimate - quantile * se, "upper": estimate + quantile * se}
