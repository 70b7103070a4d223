"""What is to be thought of the end of a search for the solution of estimating equations."""

from __future__ import annotations

from mixedmodels.arrays import FloatArray
from mixedmodels.optimization.report import ConvergenceReport

# Steps this small, in standard errors, in alpha and relative to the scale, change no figure that is printed.
SETTLED = 1e-6


class OutsideRange(Exception):
    """Moment estimates that are no correlation matrix.

    Attributes
    ----------
    alpha : ndarray, shape (q,)
        The estimates.
    group : int
        A group whose matrix is not positive definite.
    """

    def __init__(self, alpha: FloatArray, group: int) -> None:
        super().__init__(alpha, group)
        self.alpha = alpha
        self.group = group


def verdict(moved: float, decrement: float, iterations: int) -> ConvergenceReport:
    """Return whether beta, alpha and phi stand still."""
    if moved <= SETTLED:
        return ConvergenceReport("converged", decrement, ())
    reason = (
        f"After {iterations} steps coefficients, working correlation or scale still move, by {moved:.2g} of "
        "a standard error or of themselves; another working correlation, such as 'independence', may do."
    )
    return ConvergenceReport("not converged", decrement, (reason,))
