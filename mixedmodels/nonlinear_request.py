"""The front door of nonlinear fits: from what was asked for to a design with a start that can be used."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.checks import with_terms_once
from mixedmodels.engines.nonlinear.pooled import population_parameters
from mixedmodels.engines.nonlinear.self_starts import self_start
from mixedmodels.errors import ControlError, listed
from mixedmodels.families import initialize
from mixedmodels.families.family import Family
from mixedmodels.fits.call import Call, record_call
from mixedmodels.formula.design.build_nonlinear import build_nonlinear_design
from mixedmodels.formula.design.design import Design, NaAction
from mixedmodels.formula.design.fixed_effects import independent_columns
from mixedmodels.formula.design.kept_data import keep
from mixedmodels.formula.design.model_frame import row_label
from mixedmodels.formula.design.nonlinear import NonlinearDesign
from mixedmodels.formula.design.parameter_starts import constant_parameter
from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.formula.evaluation.mean import BoundMean

#: Parameters are moved by this share of their size to see whether a flat direction is one of the start only.
NUDGE = 0.05
#: Factors by which they are moved, one and all, to see whether it is one of the whole curve.
FAR = (0.1, 0.3, 3.0, 10.0, 100.0)


@dataclass(frozen=True, slots=True)
class NonlinearRequest:
    """What a nonlinear fit was asked for.

    Attributes
    ----------
    nonlinear : NonlinearDesign
        Arrays of the model, every random-effects term once, with starting values for all fixed effects.
    call : Call
        The arguments, as the printed text repeats them.
    data : table
        The data, as :func:`mixedmodels.formula.design.kept_data.keep` returns them.
    """

    nonlinear: NonlinearDesign
    call: Call
    data: Any


def read_nonlinear(
    formula: str,
    data: Any,
    *,
    fixed: Any = None,
    random: Any = None,
    groups: Any = None,
    start: Any = None,
    weights: Any = None,
    subset: Any = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    residual: str | None = None,
    dispersion: str | None = None,
    family: Family | None = None,
) -> NonlinearRequest:
    """Read formula and data of a nonlinear model, and find or check its starting values.

    Arguments as for :func:`mixedmodels.formula.design.build_nonlinear.build_nonlinear_design`; with a family
    the curve is the argument of its inverse link.

    Raises
    ------
    FormulaError, DataError
        If the formula or the data are at fault.
    ControlError
        If there are no starting values, or the mean cannot be computed or does not move at them.
    """
    nonlinear = build_nonlinear_design(
        formula, data, fixed=fixed, random=random, groups=groups, start=start, weights=weights,
        subset=subset, na_action=na_action, contrasts=contrasts, env=env, relmat=relmat, residual=residual,
        dispersion=dispersion,
    )  # fmt: skip
    nonlinear = _with_terms_once(nonlinear)
    nonlinear = replace(nonlinear, start=_completed_start(nonlinear, input_frame(data).names, family))
    check_start(nonlinear)
    if family is not None:
        _refuse_impossible(nonlinear, family)
    call = record_call(
        data, weights, None, subset, na_action=na_action, contrasts=contrasts, relmat=relmat,
        residual=residual, dispersion=dispersion, fixed=fixed, random=random, groups=groups,
    )  # fmt: skip
    return NonlinearRequest(nonlinear, call, keep(data))


def _with_terms_once(nonlinear: NonlinearDesign) -> NonlinearDesign:
    """Return the design with every random-effects term once."""
    owners = {
        id(recipe): owner
        for recipe, owner in zip(nonlinear.design.recipe.random, nonlinear.random_parameter, strict=True)
    }
    design = with_terms_once(nonlinear.design)
    kept = tuple(owners[id(recipe)] for recipe in design.recipe.random)
    return replace(nonlinear, design=design, random_parameter=kept)


def _completed_start(nonlinear: NonlinearDesign, columns: list[str], family: Family | None) -> FloatArray:
    """Return starting values of all fixed effects: those given, others found by the self-starting model."""
    p, parameters = len(nonlinear.design.x_names), nonlinear.mean.parameters
    beta = np.full(p, np.nan) if nonlinear.start is None else nonlinear.start
    missing = np.isnan(beta)
    if not missing.any():
        return beta
    if nonlinear.self_start is None:
        without = [parameters[k] for k in np.unique(nonlinear.fixed_parameter[missing])]
        raise ControlError(_no_start(without, columns))
    data = nonlinear.self_start
    found = self_start(data.name, data.inputs, _response(nonlinear.design, family))
    if found is None:
        raise ControlError(
            f"no starting values of {data.name} could be found from these data; give them, "
            f"start={{{', '.join(f'{name!r}: ...' for name in parameters)}}}"
        )
    for k, value in zip(data.parameters, found, strict=True):
        own = np.flatnonzero(nonlinear.fixed_parameter == k)
        values = constant_parameter(float(value), nonlinear.design.X[:, own])
        beta[own] = np.where(missing[own], values, beta[own])
    return beta


def _no_start(without: list[str], columns: list[str]) -> str:
    """Return what is wrong where a mean that cannot find its own start was given none."""
    near = {name: difflib.get_close_matches(name, columns, n=1) for name in without}
    hints = [f"if {name} is meant as a column: {found[0]}" for name, found in near.items() if found]
    hint = f" ({'; '.join(hints)})" if hints else ""
    return (
        f"starting values are missing for {listed(without)}, parameters of the mean: give "
        f"start={{{', '.join(f'{name!r}: ...' for name in without)}}}{hint}. Self-starting models "
        "(SSlogis() and others) find their own"
    )


def _response(design: Design, family: Family | None) -> FloatArray:
    """Return what a curve is drawn through to find its start: the response, or a link of first means."""
    if family is not None:
        return link_of_response(design, family)
    left = design.response
    return left.values if left.failures is None else left.values / (left.values + left.failures)


def link_of_response(design: Design, family: Family) -> FloatArray:
    """Return the link of first means, through which a curve is drawn, shape (n,)."""
    return family.link.link(family.start_mu(*initialize(design.response, design.weights, family)))


def _refuse_impossible(nonlinear: NonlinearDesign, family: Family) -> None:
    """Raise ControlError where the curve at the start leads to a mean that the family cannot have."""
    assert nonlinear.start is not None
    phi = _parameters(nonlinear, nonlinear.start)
    curve = nonlinear.mean.value(phi)
    y, weights = initialize(nonlinear.design.response, nonlinear.design.weights, family)
    own = family.start_phi(y, family.start_mu(y, weights), weights)
    bad = ~np.isfinite(family.evaluate(y, curve, weights, own).loglik)
    if bad.any():
        row = int(np.argmax(bad))
        raise ControlError(
            f"at the starting values the curve is {curve[row]:.6g} in row "
            f"{row_label(nonlinear.design.index, bad)} ({_shown(nonlinear, phi, row)}), which by the "
            f"{family.link.name} link is no mean that the {family.name} family can have for that response; "
            "choose other starting values, or another link: the curve is the argument of its inverse"
        )


def check_start(nonlinear: NonlinearDesign) -> None:
    """Raise where no search can begin at the starting values.

    Raises
    ------
    ControlError
        Where the mean or a derivative is not finite, or does not depend on a parameter: the message names
        rows and values.
    FormulaError
        Where a function of the caller has wrong derivatives.
    """
    beta, mean, design = nonlinear.start, nonlinear.mean, nonlinear.design
    assert beta is not None
    phi = _parameters(nonlinear, beta)
    if isinstance(mean, BoundMean):
        mean.check_functions(phi)
    value, J = mean.jacobian(phi)
    _refuse_undefined(nonlinear, phi, ~np.isfinite(value), "the mean is not a finite number")
    for k, name in enumerate(mean.parameters):
        _refuse_undefined(
            nonlinear, phi, ~np.isfinite(J[k]), f"the derivative of the mean in {name} is not a finite number"
        )
        if not J[k].any():
            raise ControlError(
                f"the mean does not change with {name} at the starting values ({_shown(nonlinear, phi, 0)}): "
                "either it does not depend on it, or the start is far from every curve that fits; try others"
            )
    flat = _flat_directions(nonlinear, beta)
    if not len(flat):
        return
    names, place = listed(design.x_names[j] for j in flat), _shown(nonlinear, phi, 0)
    if _is_flat_elsewhere(nonlinear, beta, flat):
        raise ControlError(
            f"the mean has a flat direction: what {names} changes, parameters before it can change as well, "
            f"at the starting values ({place}) and wherever else was looked. Leave one of them out, or fix "
            "it at a number"
        )
    raise ControlError(
        f"the starting values ({place}) are far from every curve that fits: what {names} changes there, "
        "parameters before it change as well. Give others, nearer to the data, where all parameters count"
    )


def _parameters(nonlinear: NonlinearDesign, beta: FloatArray) -> FloatArray:
    K = len(nonlinear.mean.parameters)
    return population_parameters(nonlinear.design.X, nonlinear.fixed_parameter, K, beta)


def _flat_directions(nonlinear: NonlinearDesign, beta: FloatArray) -> IntArray:
    """Return fixed effects that earlier ones make redundant, at the start and near it."""
    everything = np.arange(len(beta))
    found = everything
    # Steps of different sizes: a direction along which only some of them lie is none of the mean's.
    steps = NUDGE * (1.0 + everything / len(beta))
    for at in (beta, beta * (1.0 + steps) + np.where(beta == 0.0, steps, 0.0)):
        redundant = _redundant(nonlinear, at)
        found = everything[:0] if redundant is None else np.intersect1d(found, redundant)
        if not len(found):
            break
    return found


def _is_flat_elsewhere(nonlinear: NonlinearDesign, beta: FloatArray, flat: IntArray) -> bool:
    """Tell whether the directions that are flat at a start are so far from it too."""
    moved = np.vstack([np.eye(len(beta), dtype=bool), np.ones(len(beta), dtype=bool)])
    places = [np.where(which, factor * beta, beta) for factor in FAR for which in moved]
    found = (_redundant(nonlinear, place) for place in places)
    return all(redundant is None or len(np.intersect1d(redundant, flat)) for redundant in found)


def _redundant(nonlinear: NonlinearDesign, beta: FloatArray) -> IntArray | None:
    """Return fixed effects that earlier ones make redundant at beta; None where the mean is not finite."""
    _, J = nonlinear.mean.jacobian(_parameters(nonlinear, beta))
    effects = J[nonlinear.fixed_parameter].T * nonlinear.design.X
    if not np.isfinite(effects).all():
        return None
    size = np.abs(effects).max(axis=0)  # whose square may overflow
    return np.setdiff1d(np.arange(len(beta)), independent_columns(effects / np.where(size > 0.0, size, 1.0)))


def _refuse_undefined(nonlinear: NonlinearDesign, phi: FloatArray, bad: BoolArray, what: str) -> None:
    if not bad.any():
        return
    row = int(np.argmax(bad))
    raise ControlError(
        f"at the starting values {what} in {int(bad.sum())} of {len(bad)} row(s), first in row "
        f"{row_label(nonlinear.design.index, bad)}, where {_shown(nonlinear, phi, row)}; choose other "
        "starting values, or write the mean so that it is defined there"
    )


def _shown(nonlinear: NonlinearDesign, phi: FloatArray, row: int) -> str:
    """Return parameters and variables of the mean in a row, in words."""
    mean = nonlinear.mean
    shown = [f"{name} = {phi[k, row]:.6g}" for k, name in enumerate(mean.parameters)]
    if isinstance(mean, BoundMean):
        values = zip(mean.expression.variables, mean.data, strict=True)
        shown += [f"{text} = {numbers[row]:.6g}" for text, numbers in values]
    return ", ".join(shown)
