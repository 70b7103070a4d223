"""Covariance structures of random effects: theta to factor and back."""

from mixedmodels.covariance.autoregressive import Autoregressive
from mixedmodels.covariance.by_correlation import ByCorrelation
from mixedmodels.covariance.compound_symmetry import CompoundSymmetry
from mixedmodels.covariance.diagonal import Diagonal
from mixedmodels.covariance.residual.by_lag import Toeplitz
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.covariance.unstructured import Unstructured


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
        return Diagonal(size, bool(homogeneous))
    if name == "cs":
        return CompoundSymmetry(size, bool(homogeneous))
    if name == "toep":
        steps = tuple((float(k),) for k in range(size))
        return ByCorrelation(Toeplitz(size - 1), steps, bool(homogeneous))
    return Autoregressive(size, homogeneous is not False)


__all__ = [
    "Autoregressive",
    "ByCorrelation",
    "CompoundSymmetry",
    "CovarianceStructure",
    "Diagonal",
    "Unstructured",
    "covariance_structure",
]
