"""Where the optimisation of a generalized model stands: places of its parameters, and the optimum found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.formula.design.theta import column_scales
from mixedmodels.optimization.minimum import Minimum


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Layout:
    """Places of the parameters in the optimiser's vector, and their typical sizes.

    Attributes
    ----------
    outer : ndarray of int
        Free theta and free phi: what the nAGQ = 0 fit varies.
    fixed : slice
        gamma.
    scale : ndarray, shape (m,)
        Typical sizes.
    """

    outer: IntArray
    fixed: slice
    scale: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Optimum:
    """Where an optimisation ended.

    Attributes
    ----------
    psi : ndarray, shape (m,)
        The optimiser's vector.
    objective : float
        -2 log-likelihood there.
    inverse_hessian : ndarray, shape (m, m)
        Quasi-Newton estimate in the coordinates of `psi`.
    found : Minimum
        How it was found, in scaled coordinates.
    n_evaluations : int
        Evaluations of objective and gradient, those of the nAGQ = 0 fit included.
    doubt : str
        What is to be said of it whatever else is found; empty if nothing.
    """

    psi: FloatArray
    objective: float
    inverse_hessian: FloatArray
    found: Minimum
    n_evaluations: int
    doubt: str = ""


# Of the problems there are: search and standard errors both ask for it.
_KNOWN: WeakKeyDictionary[GeneralizedProblem, Layout] = WeakKeyDictionary()


def parameter_layout(problem: GeneralizedProblem) -> Layout:
    """Return places and typical sizes of the parameters, found once for each problem."""
    known = _KNOWN.get(problem)
    if known is None:
        known = _KNOWN[problem] = _parameter_layout(problem)
    return known


def _parameter_layout(problem: GeneralizedProblem) -> Layout:
    k, p = problem.n_theta, problem.n_fixed
    theta = [term.structure.scales(column_scales(term)) for term in problem.terms]
    scale = np.ones(k + p + problem.n_phi)
    scale[:k] = theta[0] if len(theta) == 1 else np.concatenate(theta)
    scale[k : k + p] = math.sqrt(len(problem.y))
    places = np.arange(len(scale))
    outer = places[:k] if not problem.n_phi else np.concatenate([places[:k], places[k + p :]])
    return Layout(outer, slice(k, k + p), scale)
