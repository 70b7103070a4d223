"""Correlation and variances of structured residuals in words."""

from __future__ import annotations

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.residual.verdict import parameter_names
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.structured import StructuredResiduals

#: More parameters than these are not listed but counted.
MOST_LISTED = 10


def residual_structure(fit: Fit) -> list[str]:
    """Return a sentence about the correlation of the residuals and one about their variances, if any.

    Parameters
    ----------
    fit : Fit
        The fit.
    """
    if not isinstance(fit, StructuredResiduals):
        return []
    model, at, residual = fit.residual_problem.model, fit.residual_estimates.parameters, fit.design.residual
    names = parameter_names(model)[model.n_theta :]
    found, n_rho = [], len(at.rho)
    if residual is not None and n_rho:
        estimates = _listed(names[:n_rho], at.rho)
        found.append(
            f"Correlation of the residuals: {residual.structure.title} ({residual.formula}), {estimates}."
        )
    terms = list(fit.design.dispersion)
    if residual is not None and residual.variance is not None:
        terms.insert(0, residual.variance)
    ends = n_rho
    parts = []
    for term, delta in zip(terms, at.delta, strict=True):
        own, ends = names[ends : ends + len(delta)], ends + len(delta)
        parts.append(f"{term.text}, {_listed(own, delta)}" if len(delta) else term.text)
    if parts:
        found.append(f"Standard deviations of the residuals over sigma: {'; '.join(parts)}.")
    return found


def _listed(names: tuple[str, ...], values: FloatArray) -> str:
    if len(names) > MOST_LISTED:
        return f"{len(names)} parameters"
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(names, values.tolist(), strict=True))
