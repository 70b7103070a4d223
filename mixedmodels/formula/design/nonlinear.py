"""The arrays of a nonlinear mixed model: what its engine reads.

With parameters phi of the mean, one value a row,

    y = f(phi, data) + e,    phi_k = X_k beta_k + sum over terms of Z_k b,

where `X_k` are the columns of X, and `Z_k` those of a random-effects term, that belong to parameter k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.evaluation.mean import MeanExpression


class MeanFunction(Protocol):
    """The mean of a response as a function of its parameters, on the rows of one table."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the K parameters, in the order of the rows of phi."""

    def value(self, phi: FloatArray) -> FloatArray:
        """Return the mean, shape (n,), at parameters of shape (K, n)."""

    def jacobian(self, phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean, shape (n,), and its derivatives, shape (K, n)."""

    def hessian(self, phi: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the mean, its derivatives, and its second derivatives, shape (K, K, n)."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SelfStartData:
    """What starting values of a self-starting model are found from, beside the response.

    Attributes
    ----------
    name : str
        The model, ``"SSlogis"``.
    inputs : tuple of ndarray, each of shape (n,)
        Its variables.
    parameters : ndarray of int
        For each of its parameters, in its own order, the index into ``mean.parameters``.
    """

    name: str
    inputs: tuple[FloatArray, ...]
    parameters: IntArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NonlinearDesign:
    """Everything that a fit needs from formula and data.

    Attributes
    ----------
    design : Design
        X: all columns of fixed effects, parameter after parameter, ``Asym`` or ``Asym.(Intercept)``,
        ``Asym.treatment``; random-effects terms whose Z has one column a coefficient. Its `recipe` makes both
        of new data.
    mean : MeanFunction
        The mean on the rows of the design.
    fixed_parameter : ndarray of int, shape (p,)
        The parameter, as an index into ``mean.parameters``, that each column of X belongs to.
    random_parameter : tuple of ndarray of int, each of shape (S,)
        For each random-effects term, the parameter that each coefficient belongs to.
    start : ndarray, shape (p,), or None
        Starting values of the fixed effects; None where none were given and none are known.
    expression : MeanExpression or None
        The mean before it was bound to rows; None where it was made by hand.
    self_start : SelfStartData or None
        Where the mean is a self-starting model, what its starting values are found from.
    """

    design: Design
    mean: MeanFunction
    fixed_parameter: IntArray
    random_parameter: tuple[IntArray, ...]
    start: FloatArray | None
    expression: MeanExpression | None = None
    self_start: SelfStartData | None = None
