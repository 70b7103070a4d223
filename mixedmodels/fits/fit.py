"""A fit, as everything computed from one sees it: the contract that every kind of model fulfils."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.arrays import CodeArray, FloatArray, IntArray
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.call import Call
from mixedmodels.fits.columns import column_terms
from mixedmodels.fits.criteria import akaike, schwarz
from mixedmodels.fits.family_quantities import ResidualType
from mixedmodels.formula.design.design import Design, RandomTerm
from mixedmodels.formula.design.kept_data import columns_in_use
from mixedmodels.optimization.report import ConvergenceReport

with on_first_use():
    from mixedmodels.fits import stored_rows
    from mixedmodels.reports import formula_text

if TYPE_CHECKING:
    from mixedmodels.families.family import Family
    from mixedmodels.fits.row_summary import RowSummary
    from mixedmodels.reports.fit_text import FitDescription


#: Model matrix and levels of one term at some rows: (m, S) and (m,).
RandomRows = tuple[FloatArray, CodeArray]


@advises
class Fit:
    """A fit: its design, its response and the quantities that everything said about it starts from.

    Parameters
    ----------
    design : Design
        Arrays of the model.
    y : ndarray, shape (n,)
        Response as the engine saw it.
    prior_weights : ndarray, shape (n,)
        Prior weights; the number of trials included for a binomial.
    call : Call
        How the model was asked for.
    data : table
        The data given, as :func:`mixedmodels.formula.design.kept_data.keep` returns them.
    row_summary : RowSummary or None
        What is known of the rows where the data are nowhere held.
    """

    design: Design
    y: FloatArray
    prior_weights: FloatArray
    call: Call
    data: Any

    def __init__(
        self, design: Design, y: FloatArray, prior_weights: FloatArray, call: Call, data: Any
    ) -> None:
        self.design = design
        self.y = y
        self.prior_weights = prior_weights
        self.call = call
        self.data = data
        self.row_summary: RowSummary | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Let the methods of every kind of fit say what to write in place of unknown arguments."""
        super().__init_subclass__(**options)
        advises(cls)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is rebuilt from the design, and columns the model does not use."""
        rebuilt = (
            "problem", "parameter_covariance", "expected_information", "joint_covariance", "row_covariances",
            "residual_evaluation", "observed_covariance_information", "expected_covariance_information",
            "residual_problem", "tied_problem", "scores", "group_information",
        )  # fmt: skip
        state = {name: value for name, value in self.__dict__.items() if name not in rebuilt}
        arguments = [self.call.arguments.get(name) for name in ("weights", "offset", "subset")]
        state["data"] = columns_in_use(self.data, self.design, arguments)
        return stored_rows.with_rows_written(state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Put arrays of rows that stand in the data in their places."""
        self.__dict__.update(stored_rows.with_rows_read(state))

    # What a kind of model must say about itself.

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        raise NotImplementedError

    @property
    def phi(self) -> FloatArray:
        """Parameters of the family, shape (n_phi,); empty for a linear model."""
        return np.empty(0)

    @property
    def drawn_phi(self) -> FloatArray:
        """Parameters of the family that simulated responses have, shape (n_phi,)."""
        return self.phi

    @property
    def npar(self) -> int:
        """Number of parameters that were estimated."""
        raise NotImplementedError

    @property
    def linear_predictor(self) -> FloatArray:
        """Linear predictor of each row used, offset included, shape (n,)."""
        raise NotImplementedError

    @property
    def mean(self) -> FloatArray:
        """Fitted mean of each row used, shape (n,)."""
        raise NotImplementedError

    def _fixed_covariance(self) -> FloatArray:
        """Return the covariance of beta that summaries use, shape (p, p)."""
        raise NotImplementedError

    def _raw_residuals(self, type: ResidualType) -> FloatArray:
        """Return residuals of one type, not divided by sigma, shape (n,)."""
        raise NotImplementedError

    def _describe(self) -> FitDescription:
        """Return what the printed text shows."""
        raise NotImplementedError

    def family(self) -> Family | None:
        """Return the family; None for a linear model.

        Returns
        -------
        Family or None
            Its `name`, `link` and functions.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> ticks = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> m = mm.glmer(ticks, mm.load_dataset("cbpp"), "binomial")
        >>> m.family().link.name
        'logit'
        """
        return None

    def sigma(self) -> float:
        """Return the residual standard deviation; 1 for families without a dispersion.

        Returns
        -------
        float

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> round(m.sigma(), 3)
        25.592
        """
        raise NotImplementedError

    def loglik(self) -> float:
        """Return the log-likelihood (of a REML fit, minus half the REML criterion).

        Returns
        -------
        float

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> round(m.loglik(), 3)
        -871.814
        """
        raise NotImplementedError

    def convergence(self) -> ConvergenceReport:
        """Return the verdict on the fit, with its reasons.

        Returns
        -------
        ConvergenceReport
            `verdict`, `reasons` and `is_optimum`.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.convergence().verdict
        'converged'
        """
        raise NotImplementedError

    @property
    def test_df(self) -> float | None:
        """Degrees of freedom of the t tests of the summary; None for normal tests."""
        return None

    # Random effects, of which a fit may have none.

    @property
    def random(self) -> tuple[RandomTerm, ...]:
        """The random-effects terms."""
        return self.design.random

    @property
    def b(self) -> tuple[FloatArray, ...]:
        """Random effects by term, each (q, S)."""
        return ()

    @property
    def theta_values(self) -> FloatArray:
        """Covariance parameters, shape (k,)."""
        return np.empty(0)

    @property
    def random_scale(self) -> float:
        """Factor that turns theta into standard deviations: sigma, or 1 for a generalized model."""
        return 1.0

    def prediction_variances(self, X: FloatArray, random: Sequence[RandomRows]) -> FloatArray:
        """Return the variances of ``X beta + Z b`` on the scale of the linear predictor, shape (m,).

        Parameters
        ----------
        X : ndarray, shape (m, p)
            Fixed-effects rows.
        random : sequence of (Z, codes)
            Random-effects rows by term, each (m, S) and (m,).
        """
        return np.asarray(np.einsum("ij,jk,ik->i", X, self._fixed_covariance(), X))

    # Like fits.

    @property
    def is_reml(self) -> bool:
        """Whether the model was fitted by REML."""
        return False

    @property
    def approximation(self) -> str | None:
        """Arguments that chose how the likelihood is approximated; None where it is exact."""
        return None

    @property
    def has_likelihood(self) -> bool:
        """Whether fits of this kind are compared by likelihood-ratio tests."""
        return True

    @property
    def is_quasi(self) -> bool:
        """Whether the fit has a quasi-likelihood, compared by F tests, in place of a likelihood."""
        return False

    @property
    def has_distribution(self) -> bool:
        """Whether there is a distribution of all responses to draw from."""
        family = self.family()
        return family is None or not family.is_quasi

    def refuse_draws(self) -> None:
        """Raise NotAvailableError unless there is a distribution to draw responses from."""
        family = self.family()
        if not self.has_distribution and family is not None:
            raise NotAvailableError(f"the {family.name} family has no distribution to simulate from.")

    @property
    def is_least_squares(self) -> bool:
        """Whether the fit is a linear model without random effects, compared with its like by F tests."""
        return False

    @property
    def has_structured_residuals(self) -> bool:
        """Whether residuals are correlated or of unequal variances beyond prior weights."""
        return False

    @property
    def default_type(self) -> int:
        """Type of the analysis of variance of a linear model where none is asked for."""
        return 3

    def residual_covariance(self, weights: FloatArray, rows: IntArray) -> FloatArray:
        """Return the covariance of the residuals of some rows over sigma^2, shape (m, m).

        Parameters
        ----------
        weights : ndarray, shape (n,)
            Weights of the rows, positive at `rows`.
        rows : ndarray of int, shape (m,)
            Which rows.
        """
        return np.diag(1.0 / weights[rows])

    def normalized(self) -> FloatArray:
        """Return the residuals of a linear model over the Cholesky factor of their covariance, shape (n,)."""
        return self._raw_residuals("pearson") / self.sigma()

    @property
    def effects(self) -> FloatArray:
        """``Q'y`` of a least-squares fit, whose squares are sums of squares of its columns, shape (p,)."""
        raise NotAvailableError("only a linear model fitted by lm() has effects of least squares.")

    def dispersion(self) -> float:
        """Return the dispersion of a quasi-likelihood fit."""
        raise NotAvailableError(
            "only glm() fits have dispersion(): sigma() is the residual standard deviation, and "
            "family_parameters() has the parameters of a family."
        )

    def deviance(self) -> float:
        """Return the deviance.

        Returns
        -------
        float
            Of a linear mixed model -2 log-likelihood, at the estimates; else the sum of squared deviance
            residuals.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"), REML=False)
        >>> round(m.deviance(), 3)
        327.327
        """
        raise NotImplementedError

    def refitML(self) -> Fit:
        """Return the fit by maximum likelihood; itself unless it was fitted by REML."""
        return self

    def refit(self, newresp: Any) -> Fit:
        """Fit the same model to another response."""
        raise NotImplementedError

    def loglik_with_columns(self, kept: IntArray) -> float | None:
        """Return the log-likelihood of the fit with some columns of X; None where that needs the rows."""
        return None

    def with_design(self, design: Design) -> Fit:
        """Fit the same kind of model to another design with the same response."""
        raise NotImplementedError

    def with_rows(self, design: Design, y: FloatArray, prior_weights: FloatArray) -> Fit:
        """Fit the same kind of model to other rows, response and weights as engines have them."""
        raise NotImplementedError

    # What follows.

    def formula(self) -> str:
        """Return the formula as R prints it.

        Returns
        -------
        str

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.formula()
        'Reaction ~ Days + (Days | Subject)'
        """
        return formula_text.shown_formula(self.design.formula)

    def terms(self) -> list[str]:
        """Return the labels of the fixed-effects terms, in R's order.

        Returns
        -------
        list of str

        Examples
        --------
        >>> import mixedmodels as mm
        >>> ticks = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> m = mm.glmer(ticks, mm.load_dataset("cbpp"), "binomial")
        >>> m.terms()
        ['period']
        """
        labels = column_terms(self.design.recipe.fixed)
        return list(dict.fromkeys(label for label in labels if label != "(Intercept)"))

    def _standard_errors(self) -> FloatArray:
        return np.sqrt(np.diag(self._fixed_covariance()))

    def nobs(self) -> int:
        """Return the number of observations, those of zero weight left out.

        Returns
        -------
        int

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.nobs()
        180
        """
        return int(np.count_nonzero(self.prior_weights > 0))

    def df_residual(self) -> int:
        """Return the number of observations minus the number of parameters.

        Returns
        -------
        int

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.df_residual()
        174
        """
        return self.nobs() - self.npar

    def aic(self) -> float:
        """Return Akaike's information criterion."""
        return akaike(self.loglik(), self.npar)

    def bic(self) -> float:
        """Return Schwarz's information criterion, with the number of observations."""
        return schwarz(self.loglik(), self.npar, self.nobs())

    def by_row(self, values: FloatArray, name: str) -> pd.Series[float]:
        """Label values by the rows of the data; with na_action="exclude", NaN at the rows dropped."""
        missing = self.design.missing
        if missing.action != "exclude" or not missing.n_dropped:
            return pd.Series(values, index=self.design.index, name=name)
        padded = np.full(missing.n_input, np.nan)
        padded[missing.kept] = values
        return pd.Series(padded, index=missing.input_index, name=name)

    def fixef(self, add_dropped: bool = False) -> pd.Series[float]:
        """Return the fixed effects.

        Parameters
        ----------
        add_dropped : bool
            Whether to list columns dropped from a rank-deficient model matrix, with value NaN.

        Returns
        -------
        Series
            By name of coefficient, on the scale of the linear predictor.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.fixef().round(3).to_dict()
        {'(Intercept)': 251.405, 'Days': 10.467}
        """
        values = pd.Series(self.beta, index=list(self.design.x_names), name="Estimate", dtype=float)
        if not add_dropped or not self.design.dropped:
            return values
        return values.reindex([*self.design.x_names, *self.design.dropped])
