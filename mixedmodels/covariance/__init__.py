"""Covariance structures of random effects: theta to factor and back."""

from mixedmodels.covariance.autoregressive import Autoregressive
from mixedmodels.covariance.compound_symmetry import CompoundSymmetry
from mixedmodels.covariance.diagonal import Diagonal
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.covariance.unstructured import Unstructured


def covariance_structure(name: str, size: int, homogeneous: bool | None = None) -> CovarianceStructure:
    """Return the covariance structure that a formula names, for `size` coefficients a level.

    Parameters
    ----------
    name : {"us", "diag", "cs", "ar1"}
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
    return Autoregressive(size, homogeneous is not False)


__all__ = [
    "Autoregressive",
    "CompoundSymmetry",
    "CovarianceStructure",
    "Diagonal",
    "Unstructured",
    "covariance_structure",
]
