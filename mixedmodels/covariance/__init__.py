"""Covariance structures of random effects: theta to factor and back."""

from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.covariance.unstructured import Unstructured


def covariance_structure(name: str, size: int, homogeneous: bool | None = None) -> CovarianceStructure:
    """Return the covariance structure that a formula names, for `size` coefficients a level."""
    return Unstructured(size)


__all__ = ["CovarianceStructure", "Unstructured", "covariance_structure"]
