"""What a power study draws from and fits: a pilot fit or a specification, at its own rows or at more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import shown
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import ControlError, ConvergenceError, DataError, listed
from mixedmodels.families.family import Family
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.language.parse import parse_formula
from mixedmodels.formula.language.syntax_tree import Name, deparse, names_in
from mixedmodels.formula.language.update import update_formula
from mixedmodels.glm import glm
from mixedmodels.glmer import glmer
from mixedmodels.inference.refits import attempt
from mixedmodels.lm import lm
from mixedmodels.lmer import lmer
from mixedmodels.missing import UNSET
from mixedmodels.power.extend import cell_columns, extend, more_levels
from mixedmodels.prediction.simulate import Simulation, SimulationRequest, prepared_simulation
from mixedmodels.specify import FAILURES, SUCCESSES, ModelSpecification, as_frame
from mixedmodels.update import kept_arguments

#: Responses drawn until one can be fitted, for the others to start from.
ATTEMPTS = 20
#: Arguments of models with random effects alone.
MIXED_ARGUMENTS = ("relmat", "REML", "nAGQ", "method")

Fitter = Callable[[str, pd.DataFrame], Fit]


@dataclass(frozen=True, slots=True)
class Study:
    """A design with what is drawn for it and fitted to it.

    Attributes
    ----------
    simulation : Simulation
        Draws responses.
    rows : ndarray of int, or None
        Those of the drawn rows that the fit uses; None for all.
    template : Fit
        A fit of the model to these rows.
    formula : str
        Its formula.
    data : DataFrame
        Its data.
    fit : callable
        Fits another formula to other data in the same way.
    """

    simulation: Simulation
    rows: IntArray | None
    template: Fit
    formula: str
    data: pd.DataFrame
    fit: Fitter

    def draw(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Draw responses for the rows of the template, one a column, shape (n, count)."""
        Y = self.simulation.draw(rng, count)
        return Y if self.rows is None else Y[self.rows]

    def smaller(self, change: str) -> Fit:
        """Fit the model with a formula changed, as ``". ~ . - x"``, to the data of the template."""
        return self.fit(update_formula(self.formula, change), self.data)


def study_of(
    model: Fit | ModelSpecification,
    newparams: Mapping[str, Any] | None,
    levels: Mapping[str, Any] | None,
    within: Mapping[Any, int] | None,
    rng: np.random.Generator,
) -> Study:
    """Return the study of a fit or of a specification.

    Raises
    ------
    ControlError, DataError
        If parameters, or what is to be extended, are at fault.
    ConvergenceError
        If no response that was drawn can be fitted.
    """
    for name, asked in (("extend", levels), ("within", within)):
        if asked is not None and not isinstance(asked, Mapping):
            raise ControlError(f"{name} must be a dict such as {{'subject': 60}}, not {shown(asked)}.")
    extends = bool(levels or within)
    request = SimulationRequest(newparams=newparams)
    if isinstance(model, Fit) and not extends:
        simulation = prepared_simulation(model, request)
        fit = partial(_fit_formula, model.family(), kept_arguments(model))
        return Study(simulation, None, model, str(model.design.formula), model.data, fit)
    source: Fit
    if isinstance(model, ModelSpecification):
        source, formula, data = model.model, model.formula, model.data
        arguments = {name: value for name, value in model.arguments.items() if value is not None}
        fit = partial(_fit_formula, source.family(), arguments)
    else:
        _refuse_arrays(model)
        source, (formula, data) = model, _with_stand_in(model)
        # The rows of a subset were taken.
        arguments = {name: value for name, value in kept_arguments(model).items() if name != "subset"}
        fit = partial(_fit_formula, model.family(), arguments)
    if extends:
        data = _extended(source, data, levels, within)
        request = SimulationRequest(
            re_form=UNSET if source.random else None, newdata=data, allow_new_levels=True, newparams=newparams
        )
    simulation = prepared_simulation(source, request)
    return _with_template(simulation, formula, data, fit, rng)


# How models are fitted.


def _fit_formula(
    family: Family | None, arguments: Mapping[str, Any], formula: str, data: pd.DataFrame
) -> Fit:
    """Fit a formula by the function that its random effects and its family ask for."""
    has_random = bool(parse_formula(formula).bars)
    left_out = ("family",) if has_random else ("family", *MIXED_ARGUMENTS)
    kept = {name: value for name, value in arguments.items() if name not in left_out}
    fitted: Fit
    if family is None:
        fitted = (lmer if has_random else lm)(formula, data, **kept)
    else:
        fitted = (glmer if has_random else glm)(formula, data, family, **kept)
    return fitted


# The data.


def _refuse_arrays(model: Fit) -> None:
    for name in ("weights", "offset"):
        value = model.call.arguments.get(name)
        if value is not None and not isinstance(value, str):
            raise DataError(
                f"the model has {name} given as an array, which more rows do not have; fit it with {name}= "
                "the name of a column."
            )


def _with_stand_in(model: Fit) -> tuple[str, pd.DataFrame]:
    """Return the formula of a fit with columns that stand for its response, and the rows it used."""
    design = model.design
    frame, index = as_frame(model.data), design.index
    if frame.index.is_unique:
        used = frame.loc[index]
    elif len(index) == len(frame):
        used = frame
    else:
        raise DataError(
            "the labels of the rows repeat themselves, so that those that were used are not known; fit the "
            "model to data.reset_index(drop=True)."
        )
    response = design.response
    if response.failures is not None:
        columns = {SUCCESSES: response.values, FAILURES: response.failures}
        left = f"cbind({SUCCESSES}, {FAILURES})"
    else:
        node = parse_formula(str(design.formula)).response
        name = node.name if isinstance(node, Name) else response.text
        columns, left = {name: response.values}, deparse(Name(name))
    return update_formula(str(design.formula), f"{left} ~ ."), used.assign(**columns).reset_index(drop=True)


def _extended(
    source: Fit, data: pd.DataFrame, levels: Mapping[str, Any] | None, within: Mapping[Any, int] | None
) -> pd.DataFrame:
    """Return more data of the design; grouping factors within one that is extended get new levels too."""
    recipe = source.design.recipe
    fixed = {variable.name for variable in recipe.fixed.variables}
    groups = list(dict.fromkeys(name.name for term in recipe.random for name in names_in(term.group)))
    _require(data, [*(levels or {}), *(name for cell in within or {} for name in cell_columns(cell))])
    for column, wanted in (levels or {}).items():
        inner = [g for g in groups if g != column and g not in fixed and _lies_within(data, g, column)]
        is_number = pd.api.types.is_numeric_dtype(data[column].dtype)
        if is_number and column in groups and column not in fixed and isinstance(wanted, (int, np.integer)):
            old = sorted(data[column].unique().tolist())
            if wanted > len(old):
                wanted = more_levels(old, int(wanted), column, labels=True)
        data = extend(data, {column: wanted}, nested=inner)
    return extend(data, within=within) if within else data


def _require(data: pd.DataFrame, columns: Sequence[str]) -> None:
    absent = [column for column in columns if column not in data.columns]
    if absent:
        raise DataError(
            f"the data have no column {absent[0]!r} to extend; the columns are {listed(data.columns)}."
        )


def _lies_within(data: pd.DataFrame, inner: str, outer: str) -> bool:
    """Tell whether every level of a factor belongs to one level of another, which has several of them."""
    if inner not in data.columns:
        return False
    pairs = data[[inner, outer]].drop_duplicates()
    return len(pairs) == data[inner].nunique() > data[outer].nunique()


# The fit that others start from.


def _with_template(
    simulation: Simulation, formula: str, data: pd.DataFrame, fit: Fitter, rng: np.random.Generator
) -> Study:
    """Return the study whose template is the first fit of a drawn response that succeeds."""
    reason = ""
    for _ in range(ATTEMPTS):
        drawn = _with_response(data, formula, simulation.draw(rng, 1)[:, 0])
        found = attempt(lambda drawn=drawn: fit(formula, drawn))  # type: ignore[misc]
        if isinstance(found, Fit):
            kept = found.design.missing.kept
            rows = None if len(kept) == len(data) else kept
            return Study(simulation, rows, found, formula, drawn, fit)
        reason = reason or found
    raise ConvergenceError(
        f"none of {ATTEMPTS} simulated responses could be fitted; the first because: {reason}"
    )


def _with_response(data: pd.DataFrame, formula: str, y: FloatArray) -> pd.DataFrame:
    """Return data with a drawn response in the columns that stand for it."""
    response = parse_formula(formula).response
    if isinstance(response, Name):
        return data.assign(**{response.name: y})
    if response is None:
        raise ControlError("the formula has no response.")
    trials = (data[SUCCESSES] + data[FAILURES]).to_numpy()
    columns: dict[str, FloatArray] = {SUCCESSES: y, FAILURES: trials - y}
    return data.assign(**columns)
