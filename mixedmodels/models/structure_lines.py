"""The lines of a print about residual correlation and variance functions."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.residual.variance import Ident
from mixedmodels.engines.residual.model import Parameters
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.residual import ResidualDesign, VarianceTerm
from mixedmodels.reports.residual_text import (
    CorrelationDescription,
    VarianceDescription,
    correlation_text,
    variances_text,
)


def structure_lines(design: Design, at: Parameters) -> tuple[str, ...]:
    """Return them, as nlme prints them.

    Parameters
    ----------
    design : Design
        The design.
    at : Parameters
        Estimates on their natural scale.
    """
    lines: list[str] = []
    residual, terms = design.residual, list(design.dispersion)
    if residual is not None:
        lines += correlation_text(_correlation(residual, at.rho)).splitlines()
        if residual.variance is not None:
            terms.insert(0, residual.variance)
    if terms:
        described = [_variance(term, delta) for term, delta in zip(terms, at.delta, strict=True)]
        lines += variances_text(described).splitlines()
    return tuple(lines)


def _correlation(residual: ResidualDesign, rho: FloatArray) -> CorrelationDescription:
    structure = residual.structure
    return CorrelationDescription(
        title=structure.title,
        formula=residual.formula,
        names=structure.parameter_names(),
        values=rho.reshape(len(residual.arm_names), structure.n_parameters),
        arms=residual.arm_names,
        levels=residual.levels if structure.name == "us" else (),
    )


def _variance(term: VarianceTerm, delta: FloatArray) -> VarianceDescription:
    f = term.function
    if isinstance(f, Ident):
        return VarianceDescription(f.name, term.formula, f.levels, np.concatenate([[1.0], delta]))
    strata = getattr(f, "strata", ("",))
    return VarianceDescription(f.name, term.formula, f.parameter_names(), delta, strata)
