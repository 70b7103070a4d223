"""What the search did and what is to be thought of its end: plain records that estimates carry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mixedmodels.arrays import FloatArray

Verdict = Literal["converged", "boundary", "not identified", "inexact", "not converged"]


@dataclass(frozen=True, slots=True)
class OptimizationReport:
    """Trace of an optimisation.

    Attributes
    ----------
    method : str
        Name of the algorithm.
    n_evaluations : int
        Evaluations of the objective, each with its gradient where the method uses one.
    seconds : float
        Wall-clock time.
    gradient_norm : float
        Largest absolute element of the scaled gradient at the end.
    points : tuple of (coordinates, objective)
        Every accepted point in the coordinates of the search.
    parameters_at : callable
        Maps such coordinates to parameters.
    message : str
        Why the optimiser stopped, in plain words.
    """

    method: str
    n_evaluations: int
    seconds: float
    gradient_norm: float
    points: tuple[tuple[FloatArray, float], ...]
    parameters_at: Callable[[FloatArray], FloatArray]
    message: str

    @property
    def path(self) -> tuple[tuple[FloatArray, float], ...]:
        """Every accepted point: parameters and objective."""
        return tuple((self.parameters_at(x), value) for x, value in self.points)

    def __reduce__(self) -> tuple[Any, ...]:
        """Store parameters, not the map to them, which may hold the rows of the data."""
        found = self.method, self.n_evaluations, self.seconds, self.gradient_norm
        return OptimizationReport, (*found, self.path, np.copy, self.message)

    def __repr__(self) -> str:
        return (
            f"{self.method}: {self.n_evaluations} evaluations in {self.seconds:.3g} s, "
            f"gradient norm {self.gradient_norm:.1e}; {self.message}"
        )


@dataclass(frozen=True, slots=True)
class ConvergenceReport:
    """The verdict on a fit, with its reasons in plain words.

    Attributes
    ----------
    verdict : {"converged", "boundary", "not identified", "inexact", "not converged"}
        ``boundary`` is an optimum at which a variance or a direction is exactly zero, or at which a
        parameter of the family has run to the end of its range; ``not identified`` an optimum that is one
        of many: the objective is flat along a direction; ``inexact`` one of an approximation that is too
        coarse: by more quadrature nodes the likelihood has its optimum elsewhere.
    decrement : float
        Newton decrement ``g' H^-1 g / 2``: how far the objective still is from its minimum, by a
        quadratic model.
    reasons : tuple of str
        One sentence each: which variance is zero, which simpler family is the limit, which parameter
        still moves, what to do.
    """

    verdict: Verdict
    decrement: float
    reasons: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join([self.verdict, *self.reasons, f"Newton decrement {self.decrement:.1e}"])

    @property
    def is_optimum(self) -> bool:
        """Whether an optimum of the likelihood was reached, on the boundary or inside, unique or not."""
        return self.verdict not in ("inexact", "not converged")
