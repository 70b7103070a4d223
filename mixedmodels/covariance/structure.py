"""The interface of a covariance structure: how theta becomes a relative covariance factor.

To add a structure, write one small frozen class with these methods; the engines know nothing else.
"""

from __future__ import annotations

from typing import Protocol

from mixedmodels.arrays import FloatArray, IntArray


class CovarianceStructure(Protocol):
    """Map between the parameters theta of one random-effects term and its factor T.

    The random effects of one level have covariance ``sigma^2 T T'`` with T lower triangular (S x S).
    `theta` is what users see (lme4's ``par``: the lower triangle of T column by column for ``us``,
    standard deviations and a correlation for the others, all relative to sigma). The optimiser works
    without bounds in `free` coordinates, equal to theta unless the structure bounds a parameter.
    """

    @property
    def name(self) -> str:
        """Name as written in a formula: ``"us"``, ``"diag"``, ``"cs"``, ``"ar1"``."""

    @property
    def size(self) -> int:
        """Number of coefficients per level, S."""

    @property
    def n_theta(self) -> int:
        """Number of parameters."""

    def start(self) -> FloatArray:
        """Return the parameters of the identity factor, shape (n_theta,)."""

    def factor(self, theta: FloatArray) -> FloatArray:
        """Return the lower triangular factor T, shape (S, S)."""

    def pullback(self, theta: FloatArray, dT: FloatArray) -> FloatArray:
        """Return the gradient in theta of a function whose derivative in T is `dT`.

        Element k is ``sum_ij dT[i, j] * dT_ij / dtheta_k``; entries of `dT` above the diagonal count
        for nothing.
        """

    def to_free(self, theta: FloatArray) -> FloatArray:
        """Return unbounded optimiser coordinates of `theta`, shape (n_theta,)."""

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return theta from optimiser coordinates; the inverse of `to_free`."""

    def free_pullback(self, free: FloatArray, dtheta: FloatArray) -> FloatArray:
        """Return the gradient in `free` of a function whose gradient in theta is `dtheta`."""

    def scales(self, column_scale: FloatArray) -> FloatArray:
        """Return the typical size of each free parameter when coefficient i has scale ``column_scale[i]``.

        Used only to precondition the optimiser: a coefficient on a predictor with values near 1e6 has a
        standard deviation near 1e-6.
        """

    def canonical(self, theta: FloatArray) -> FloatArray:
        """Return the equivalent parameters with a non-negative diagonal of T."""

    def is_lower_bound(self) -> tuple[bool, ...]:
        """Tell, for each parameter, whether zero is a boundary (a diagonal element or a deviation)."""

    def parameter_names(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """Return names of the parameters for coefficients `columns`, in lme4's manner.

        For ``us``: ``("(Intercept)", "Days.(Intercept)", "Days")``.
        """

    @property
    def is_unstructured(self) -> bool:
        """Whether T may be any lower triangular matrix, so that any change of columns keeps the structure."""

    def places(self) -> tuple[IntArray, IntArray]:
        """Return rows and columns of the entries of T that can differ from zero, column by column."""

    def parameter_at(self) -> IntArray:
        """Return the number of the parameter at each place, -1 where the entry is a function of several."""

    def bounds_reached(self, theta: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return name and value of each parameter at a bound other than a zero on the diagonal of T."""
