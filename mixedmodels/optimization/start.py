"""Starting values and starting curvature of the covariance parameters."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.formula.design import RandomTerm
from mixedmodels.likelihood.profiled import LinearProblem


def column_scales(term: RandomTerm) -> FloatArray:
    """Return the size of a unit-variance effect of each coefficient: 1 / RMS of its column, shape (S,)."""
    rms = np.sqrt(np.einsum("ij,ij->j", term.Z, term.Z) / len(term.Z))
    return np.where(rms > 0.0, 1.0 / np.where(rms > 0.0, rms, 1.0), 1.0)


def free_scales(problem: LinearProblem) -> FloatArray:
    """Return the typical size of every free parameter."""
    return np.concatenate([term.structure.scales(column_scales(term)) for term in problem.terms])
