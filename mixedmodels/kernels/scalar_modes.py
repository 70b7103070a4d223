"""The conditional modes of random intercepts of several factors, in one compiled call.

``conditional_mode`` and ``joint_mode`` of :mod:`mixedmodels.engines.generalized.pirls` are the twins, and
take over where a search is out of the ordinary: ``search`` returns None there. What ``ScalarModes`` is made
of, beside the loops of scalar_factors.py:

kind : int
    0 for binomial proportions with the logit, 1 for counts with the logarithm.
y, weights, constant, offset : ndarray, shape (n,)
    Response, prior weights, part of the log-likelihood without parameters, known part of the predictor.
Q : ndarray, shape (n, p)
    Columns of the fixed effects.

What ``search`` takes:

scales : ndarray
    Deviations of the factors, the eliminated ones first.
u, gamma : ndarray
    Where the search begins.
is_joint : bool
    Whether gamma is searched for too.
decrement : float
    Squared step at which it ends, relative to 1 + |u|^2.
limits : (int, int, float, float)
    Most steps and halvings of one; ROUNDING and TRUSTED of pirls.py.

``predict`` and ``gradient`` are ``predicted_mode`` of pirls.py and the derivatives of laplace_gradient.py in
the scales and in gamma, for a mode that is not a joint one. ``without_random_effects`` takes the scoring
steps of start.py, as that of levels_search.py does.
"""

from __future__ import annotations

from typing import TypeAlias

from mixedmodels.arrays import FloatArray

__all__ = ["COMPILED", "MOST_FIXED", "FoundMode", "ScalarModes"]

#: Most fixed effects of a joint search: beyond, products with them are better left to BLAS.
MOST_FIXED = 24
#: u, gamma, eta, the rows' terms as in ``Derivatives``, ``|u|^2 - 2 sum log f``, the values, the tail and the
#: log-determinant of the factor, and of a joint mode its border: coupling, solved, half of the complement.
FoundMode: TypeAlias = tuple[
    FloatArray,
    FloatArray,
    FloatArray,
    tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray],
    float,
    FloatArray,
    FloatArray,
    float,
    tuple[FloatArray, FloatArray, FloatArray] | None,
]

try:
    from mixedmodels.kernels._scalar_modes import ScalarModes
except ImportError:
    COMPILED = False
else:
    COMPILED = True
