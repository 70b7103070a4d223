"""Structured residuals on their way into a design: what was asked for, and what the data make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mixedmodels.deferred import on_first_use
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.evaluation.columns import Column
from mixedmodels.formula.language.syntax_tree import Node

with on_first_use():
    from mixedmodels.formula.design import read_dispersion, read_residual
    from mixedmodels.formula.language import dispersion as variance_calls
    from mixedmodels.formula.language import residual as residual_calls

if TYPE_CHECKING:
    from mixedmodels.formula.language.dispersion import VarianceCall
    from mixedmodels.formula.language.residual import ResidualCall


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StructuredResiduals:
    """What ``residual=`` and ``dispersion=`` ask for, before any data.

    Attributes
    ----------
    residual : ResidualCall or None
        The correlation structure.
    dispersion : tuple of VarianceCall
        The variance functions.
    """

    residual: ResidualCall | None
    dispersion: tuple[VarianceCall, ...]

    @classmethod
    def read(
        cls, residual: str | ResidualCall | None, dispersion: str | tuple[VarianceCall, ...] | None
    ) -> StructuredResiduals:
        """Return what the two arguments ask for."""
        call = residual_calls.parse_residual(residual) if isinstance(residual, str) else residual
        if isinstance(dispersion, tuple):
            return cls(call, dispersion)
        return cls(call, () if dispersion is None else variance_calls.parse_dispersion(dispersion))

    def variables(self) -> dict[str, Node]:
        """Return printed expression -> expression of everything that has to be evaluated."""
        found = {} if self.residual is None else self.residual.variables()
        for call in self.dispersion:
            found.update(call.variables())
        return found

    def added(self, design: Design, columns: Mapping[str, Column]) -> Design:
        """Return a design with its structured residuals."""
        if self.residual is None and not self.dispersion:
            return design
        residual = None
        if self.residual is not None:
            residual = read_residual.residual_design(self.residual, columns, design.index)
        dispersion = read_dispersion.variance_terms(self.dispersion, columns, design.index)
        variables = {**design.recipe.variables, **self.variables()}
        recipe = replace(design.recipe, variables=variables)
        return replace(design, residual=residual, dispersion=dispersion, recipe=recipe)
