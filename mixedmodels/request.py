"""The front door of every fit: from what was asked for to a design, and what is kept of the asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mixedmodels.checks import with_terms_once
from mixedmodels.fits.call import Call, record_call
from mixedmodels.formula import build_design
from mixedmodels.formula.design.design import Design, NaAction
from mixedmodels.formula.design.kept_data import keep
from mixedmodels.formula.language.dispersion import VarianceCall
from mixedmodels.formula.language.parse import ParsedFormula
from mixedmodels.formula.language.residual import ResidualCall


@dataclass(frozen=True, slots=True)
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
) -> Request:
    """Read formula and data; arguments as for :func:`mixedmodels.lmer`.

    Raises
    ------
    FormulaError, DataError
        If the formula or the data are at fault.
    """
    design = build_design(
        formula, data, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, env=env, relmat=relmat, residual=residual, dispersion=dispersion,
    )  # fmt: skip
    shown = residual.text if isinstance(residual, ResidualCall) else residual
    spread = dispersion
    if isinstance(dispersion, tuple):
        spread = dispersion[0].text if dispersion else None
    call = record_call(
        data, weights, offset, subset, na_action=na_action, contrasts=contrasts, relmat=relmat,
        residual=shown, dispersion=spread, information=information,
    )  # fmt: skip
    return Request(with_terms_once(design), call, keep(data))
