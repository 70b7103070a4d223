"""A fit with random effects, as everything computed from one sees it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import DataError, NotAvailableError
from mixedmodels.fits.fit import Fit, RandomRows
from mixedmodels.fits.linear_predictor import linear_predictor, random_effects
from mixedmodels.formula.design.theta import term_covariances, theta_names
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport
from mixedmodels.reports.printed import Printed

with on_first_use():
    from mixedmodels.fits import joint_covariance, mixed_model_equations

if TYPE_CHECKING:
    from mixedmodels.covariance.term_covariance import TermCovariance
    from mixedmodels.fits.joint_covariance import JointCovariance
    from mixedmodels.fits.mixed_model_equations import JointSystem


class MixedEstimates(Protocol):
    """What the estimates of every kind of mixed model hold."""

    @property
    def theta(self) -> FloatArray:
        """Covariance parameters, shape (k,)."""

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""

    @property
    def u(self) -> tuple[FloatArray, ...]:
        """Spherical random effects at the conditional mode, by term, each (q, S)."""

    @property
    def optimization(self) -> OptimizationReport:
        """How the optimum was found."""

    @property
    def convergence(self) -> ConvergenceReport:
        """The verdict."""


class MixedFit(Fit):
    """A fit with random effects."""

    estimates: MixedEstimates

    # What a kind of mixed model must say about itself.

    @property
    def row_information(self) -> FloatArray:
        """Weight of each row in the mixed-model equations, shape (n,)."""
        raise NotImplementedError

    @property
    def mean_information(self) -> float:
        """Mean size of the weights of the rows."""
        return float(np.abs(self.row_information).mean())

    @property
    def unscaled_vcov(self) -> FloatArray:
        """``(R_X' R_X)^-1`` of the mixed-model equations, shape (p, p)."""
        raise NotImplementedError

    @property
    def residual_sd(self) -> float | None:
        """Standard deviation of the row ``Residual`` of VarCorr; None for a generalized model."""
        raise NotImplementedError

    def _conditional_covariances(self) -> tuple[FloatArray, ...]:
        """Return the conditional covariances of the random effects by term, each (q, S, S)."""
        raise NotImplementedError

    @property
    def factorization(self) -> Printed:
        """The blocks of the factorization and how each is handled, as a table."""
        raise NotImplementedError

    def REMLcrit(self) -> float:
        """Return the REML criterion of a linear model fitted by REML.

        Returns
        -------
        float

        Raises
        ------
        NotAvailableError
            If the model was not fitted by REML.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> round(m.REMLcrit(), 2)
        1743.63
        """
        raise NotAvailableError("only a linear mixed model fitted by REML has a REML criterion.")

    # What follows.

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self.estimates.beta

    @property
    def spherical(self) -> tuple[FloatArray, ...]:
        """Spherical random effects u at the conditional mode, by term, each (q, S)."""
        return self.estimates.u

    @property
    def theta_values(self) -> FloatArray:
        """Covariance parameters, shape (k,)."""
        return self.estimates.theta

    @property
    def random_scale(self) -> float:
        """Factor that turns theta into standard deviations: sigma, or 1 for a generalized model."""
        return 1.0 if self.residual_sd is None else self.residual_sd

    @property
    def npar(self) -> int:
        """Number of fixed effects and covariance parameters, and sigma or the parameters of the family."""
        others = len(self.phi) if self.residual_sd is None else 1
        return len(self.beta) + len(self.theta_values) + others

    def convergence(self) -> ConvergenceReport:
        """Return the verdict on the fit, with its reasons."""
        return self.estimates.convergence

    @property
    def optimization(self) -> OptimizationReport:
        """How the optimum was found: evaluations, seconds, gradient norm, path."""
        return self.estimates.optimization

    @property
    def b(self) -> tuple[FloatArray, ...]:
        """Random effects by term, each (q, S)."""
        return random_effects(self.random, self.theta_values, self.spherical)

    @property
    def linear_predictor(self) -> FloatArray:
        """Linear predictor of each row used, offset included, shape (n,)."""
        return linear_predictor(self.design.fixed, self.beta, self.design.offset, self.random, self.b)

    def theta(self) -> pd.Series[float]:
        """Return the covariance parameters, named as in lme4: ``Subject.Days.(Intercept)``.

        Returns
        -------
        Series

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.theta().round(3).to_dict()
        {'Subject.(Intercept)': 0.967, 'Subject.Days.(Intercept)': 0.015, 'Subject.Days': 0.231}
        """
        return pd.Series(self.theta_values, index=list(theta_names(self.random)), name="theta")

    def term_covariances(self) -> tuple[TermCovariance, ...]:
        """Return the covariance matrix of each term, as a plain record."""
        return term_covariances(self.random, self.theta_values, self.random_scale)

    def ngrps(self) -> dict[str, int]:
        """Return the number of levels of each grouping factor.

        Returns
        -------
        dict of int

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.ngrps()
        {'Subject': 18}
        """
        return {term.group: term.n_levels for term in self.random}

    def prediction_variances(self, X: FloatArray, random: Sequence[RandomRows]) -> FloatArray:
        """Return the variances of ``X beta + Z b``, prediction errors of b included, shape (m,)."""
        return self.random_scale**2 * self.unscaled_variances(X, random)

    def unscaled_variances(self, X: FloatArray, random: Sequence[RandomRows]) -> FloatArray:
        """Return the same over sigma^2, shape (m,)."""
        if self.joint_covariance is None:
            return mixed_model_equations.solved_variances(self.joint_system(), X, random)
        return joint_covariance.row_variances(self.joint_covariance, X, random)

    @cached_property
    def joint_covariance(self) -> JointCovariance | None:
        """The joint covariance of (b, beta) over sigma^2, entry by entry.

        None where rows of negative information, or fixed effects that the weights leave undetermined, keep it
        from being factorized block by block.
        """
        if self.row_information.min() < 0.0:
            return None
        try:
            return joint_covariance.covariance_of_rows(
                self.design.X, self.random, self.theta_values, self.row_information
            )
        except (DataError, np.linalg.LinAlgError):
            return None

    def joint_system(self) -> JointSystem:
        """Return the factorized mixed-model equations at the estimates."""
        return mixed_model_equations.joint_system(
            self.design.X, self.random, self.theta_values, self.row_information
        )
