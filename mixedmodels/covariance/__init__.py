"""Covariance structures of random effects: theta to factor and back."""

from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.covariance.unstructured import Unstructured
from mixedmodels.deferred import on_first_use

with on_first_use():
    from mixedmodels.covariance import autoregressive, by_correlation, compound_symmetry, diagonal
    from mixedmodels.covariance.residual import by_lag


def covariance_structure(name: str, size: int, homogeneous: bool | None = None) -> CovarianceStructure:
    """Return the covariance structure that a formula names, for `size` coefficients a level.

    Parameters
    ----------
    name : {"us", "diag", "cs", "ar1", "toep"}
        Tag of the random-effects term.
    size : int
        Number of coefficients, S.
    homogeneous : bool, optional
        One standard deviation for all coefficients; by default True for ``ar1`` only, as in lme4.
    """
    if name == "us":
        return Unstructured(size)
    if name == "diag":
        return diagonal.Diagonal(size, bool(homogeneous))
    if name == "cs":
        return compound_symmetry.CompoundSymmetry(size, bool(homogeneous))
    if name == "toep":
        steps = tuple((float(k),) for k in range(size))
        return by_correlation.ByCorrelation(by_lag.Toeplitz(size - 1), steps, bool(homogeneous))
    return autoregressive.Autoregressive(size, homogeneous is not False)


__all__ = [
    "CovarianceStructure",
    "Unstructured",
    "covariance_structure",
]
