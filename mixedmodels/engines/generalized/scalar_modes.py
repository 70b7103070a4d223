"""Which models the compiled search for modes of kernels/scalar_modes.py knows, and its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from mixedmodels.engines.generalized.by_level import KINDS
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.kernels import scalar_modes

if TYPE_CHECKING:
    from mixedmodels.kernels._scalar_modes import ScalarModes

# The searches of the problems there are; None for those of which there is none.
_KNOWN: WeakKeyDictionary[GeneralizedProblem, ScalarModes | None] = WeakKeyDictionary()


def scalar_search(problem: GeneralizedProblem) -> ScalarModes | None:
    """Return the compiled search for the modes of a problem, None if it is not one for it."""
    if problem not in _KNOWN:
        _KNOWN[problem] = _scalar_search(problem)
    return _KNOWN[problem]


def _scalar_search(problem: GeneralizedProblem) -> ScalarModes | None:
    scalar, kind = problem.system.scalar, KINDS.get(type(problem.family))
    if not scalar_modes.COMPILED or scalar is None or kind is None or not problem.family.is_canonical:
        return None
    rows = (problem.y, problem.weights, problem.constant, problem.offset, problem.fixed_basis)
    if not len(problem.y):
        return None
    return scalar_modes.ScalarModes(
        scalar.loops, kind, *(np.ascontiguousarray(array, dtype=np.float64) for array in rows)
    )
