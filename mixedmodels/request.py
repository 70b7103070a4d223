"""The front door of every fit: from what was asked for to a design, and what is kept of the asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.advice import shown
from mixedmodels.checks import with_terms_once
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import ControlError, DataError
from mixedmodels.fits.call import Call, record_call
from mixedmodels.formula import build_design
from mixedmodels.formula.design.design import Design, NaAction
from mixedmodels.formula.design.kept_data import keep
from mixedmodels.formula.evaluation.evaluate import States
from mixedmodels.formula.evaluation.input_frames import InputFrame, in_row_order, input_frame
from mixedmodels.formula.language.parse import ParsedFormula, parse_expression
from mixedmodels.formula.language.syntax_tree import Node, deparse, names_in

with on_first_use():
    from mixedmodels.formula.language import residual as residual_calls

if TYPE_CHECKING:
    from mixedmodels.formula.language.dispersion import VarianceCall
    from mixedmodels.formula.language.residual import ResidualCall


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Request:
    """What a fit was asked for.

    Attributes
    ----------
    design : Design
        Arrays of the model, every random-effects term once.
    call : Call
        The arguments, as the printed text repeats them.
    data : table
        The data, as :func:`mixedmodels.formula.design.kept_data.keep` returns them.
    """

    design: Design
    call: Call
    data: Any


def read_request(
    formula: str | ParsedFormula,
    data: Any,
    *,
    weights: Any,
    offset: Any,
    subset: Any,
    na_action: NaAction,
    contrasts: Mapping[str, Any] | None,
    env: Mapping[str, Any] | None,
    relmat: Mapping[str, Any] | None = None,
    residual: str | ResidualCall | None = None,
    dispersion: str | tuple[VarianceCall, ...] | None = None,
    information: str | None = None,
    states: States | None = None,
) -> Request:
    """Read formula and data; arguments as for :func:`mixedmodels.lmer`.

    `states` holds what transformations have learnt from other rows than these.

    Raises
    ------
    FormulaError, DataError
        If the formula or the data are at fault.
    """
    design = build_design(
        formula, data, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, env=env, relmat=relmat, residual=residual, dispersion=dispersion,
        states=states,
    )  # fmt: skip
    shown = residual if residual is None or isinstance(residual, str) else residual.text
    spread = dispersion
    if isinstance(dispersion, tuple):
        spread = dispersion[0].text if dispersion else None
    call = record_call(
        data, weights, offset, subset, na_action=na_action, contrasts=contrasts, relmat=relmat,
        residual=shown, dispersion=spread, information=information,
    )  # fmt: skip
    return Request(with_terms_once(design), call, keep(data))


def read_grouped_request(
    formula: str,
    data: Any,
    *,
    groups: Any,
    time: Any,
    weights: Any,
    offset: Any,
    subset: Any,
    na_action: NaAction,
    contrasts: Mapping[str, Any] | None,
    env: Mapping[str, Any] | None,
    others: Mapping[str, Any],
    in_order: bool,
) -> Request:
    """Read formula and data of a model of independent groups; arguments as for :func:`mixedmodels.gee`.

    The design has the groups, and the positions of rows within them, in ``design.residual``.

    Parameters
    ----------
    groups, time
        Column, expression or one value a row; `time` None where rows count in their order.
    others : mapping
        What else was given, for a fit like it.
    in_order : bool
        Whether the order of times matters.

    Raises
    ------
    FormulaError, DataError, ControlError
        If the formula, the data, the groups or the times are at fault.
    """
    frame, names = input_frame(data), dict(env or {})
    group = _row_variable("groups", groups, frame, names)
    times = () if time is None else (_row_variable("time", time, frame, names),)
    text = f"{deparse(times[0]) if times else '1'} | {deparse(group)}"
    kind = replace(residual_calls.STRUCTURES["diag"], ordered=in_order)
    call = residual_calls.ResidualCall(text, kind, False, times, group, None, {})
    design = build_design(
        formula, data, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, env=names, residual=call,
    )  # fmt: skip
    record = record_call(
        data, weights, offset, subset, na_action=na_action, contrasts=contrasts, groups=groups, time=time,
        **others,
    )  # fmt: skip
    return Request(with_terms_once(design), record, keep(data))


def _row_variable(role: str, given: Any, frame: InputFrame, names: dict[str, Any]) -> Node:
    """Return an argument as an expression; values become a name of the environment.

    Raises
    ------
    ControlError
        If it is neither a column, nor an expression of columns, nor one value a row.
    """
    if isinstance(given, str):
        if given in frame:
            return parse_expression(f"`{given}`")
        node = parse_expression(given)
        if any(True for _ in names_in(node)):
            return node
    if np.ndim(given) != 1:
        raise ControlError(
            f"{role}= must be the name of a column, an expression of columns or one value a row, not "
            f"{shown(given)}."
        )
    values = in_row_order(given, role, frame.index) if frame.is_labelled else given
    if len(values) != frame.n_rows:
        raise DataError(f"{role} has {len(values)} values, and the data have {frame.n_rows} rows.")
    name = next(name for name in (role, f"{role}_given", f"given_{role}") if name not in frame)
    names[name] = values
    return parse_expression(name)
