"""Cluster-robust covariance of the fixed effects: ``m.vcov("CR2", cluster="g")``."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.engines.generalized.cluster_scores import cluster_problems, gradients, hessians
from mixedmodels.engines.generalized.hessian import natural_jacobian, natural_parameters, objective_hessian
from mixedmodels.engines.generalized.problem import natural_to_psi
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.family_quantities import response_slope
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.fits.pql import PqlFit
from mixedmodels.formula.design.theta import term_factors
from mixedmodels.inference.clusters import Clusters, clusters_of, relative_covariance
from mixedmodels.inference.no_estimates import require_estimates
from mixedmodels.inference.sandwich import Sandwich, SandwichDegrees, adjusted_scores, symmetric_power
from mixedmodels.reports.printed_frame import PrintedFrame

RobustType = Literal["CR0", "CR1", "CR1p", "CR1S", "CR2", "CR3"]

BIAS_REDUCED = -0.5
#: Power of the part of a residual that the model leaves, by which the scores of a cluster are adjusted.
POWERS = {"CR0": 0.0, "CR1": 0.0, "CR1p": 0.0, "CR1S": 0.0, "CR2": BIAS_REDUCED, "CR3": -1.0}


class RobustCovariance(PrintedFrame):
    """A robust covariance of the fixed effects, a DataFrame that prints as one.

    Given as ``vcov=`` to a summary or a test it brings its degrees of freedom along: ``degrees``.
    """

    _metadata = ["degrees", "kind", "cluster"]  # noqa: RUF012 (pandas reads this class attribute)
    degrees: SandwichDegrees
    kind: str
    cluster: str

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html())


def robust_covariance(fit: Fit, type: RobustType | str = "CR2", cluster: Any = None) -> RobustCovariance:
    """Return the covariance of the fixed effects that holds whatever the covariance within clusters is.

    Parameters
    ----------
    fit : Fit
        The fit.
    type : {"CR0", "CR1", "CR1p", "CR1S", "CR2", "CR3"}
        CR0 is the plain sandwich of Liang & Zeger (1986); CR1 multiplies it by m / (m - 1) for m clusters,
        CR1p by m / (m - p), CR1S by m (n - 1) / ((m - 1) (n - p)), n rows and m clusters of positive weight;
        CR2 is unbiased where the model is right (Bell & McCaffrey 2002); CR3 is the jackknife in one step.
    cluster : str or array_like, optional
        The clusters; by default the grouping factor that all others are nested in, and each row by itself
        in a model without random effects.

    Returns
    -------
    RobustCovariance
        A DataFrame, with the degrees of freedom of tests in ``degrees``.

    Raises
    ------
    ControlError
        If `type` or `cluster` is unknown.
    DataError
        If there is one cluster only, or its values do not fit the rows.
    NotAvailableError
        If random effects are shared between clusters, the fit has no likelihood in the fixed effects, or a
        parameter has no finite estimate.

    Notes
    -----
    For linear models as R's clubSandwich: weights are the inverse of the fitted covariance of each cluster.
    For generalized linear mixed models the scores are those of the marginal log-likelihood (Laplace or
    quadrature) in all parameters and the bread is the inverse of its Hessian, so that the estimation of
    theta counts; CR2 and CR3 adjust the scores by the share of a cluster in the information (Kauermann &
    Carroll 2001).
    """
    one_of("type", type, get_args(RobustType))
    clusters = clusters_of(fit, cluster)
    make = _generalized_sandwich if isinstance(fit, GeneralizedFit) else _weighted_sandwich
    if isinstance(fit, PqlFit):
        raise NotAvailableError(
            "A fit by penalized quasi-likelihood has no scores of its own; fit the model with method='ml' "
            "for a robust covariance."
        )
    require_estimates(fit, "a robust covariance")
    m = clusters.counted(fit.prior_weights)
    sandwich = make(fit, clusters, POWERS[type], _factor(type, m, fit.nobs(), len(fit.beta)))
    names = list(fit.design.x_names)
    table = RobustCovariance(sandwich.covariance(), index=names, columns=names)
    by = f" by {clusters.name}" if clusters.name else ""
    table.degrees = SandwichDegrees(sandwich, f"Satterthwaite's method for a {type} covariance{by}")
    table.kind, table.cluster = type, clusters.name
    return table


def _factor(type: str, m: int, n: int, p: int) -> float:
    """Return the factor of a type for m clusters, n rows and p coefficients."""
    if type == "CR1":
        return m / (m - 1.0)
    if type == "CR1p":
        return m / _beyond(p, type, m, "clusters")
    if type == "CR1S":
        return m * (n - 1.0) / ((m - 1.0) * _beyond(p, type, n, "rows"))
    return 1.0


def _beyond(p: int, type: str, count: int, counted: str) -> float:
    """Return by how many a count passes that of the coefficients, by which a type divides."""
    if count <= p:
        raise NotAvailableError(
            f"{type} divides by the number of {counted} less that of coefficients, and there are {count} "
            f"{counted} for {p} coefficients; use 'CR2'."
        )
    return float(count - p)


# Linear models, and generalized ones without random effects as their last weighted least squares.


def _weighted_sandwich(fit: Fit, clusters: Clusters, power: float, factor: float) -> Sandwich:
    """Return the pieces for ``e = y - X beta`` with covariance V, up to a factor that cancels."""
    X, e, weights = _working_rows(fit)
    kept = [rows[weights[rows] > 0.0] for rows in clusters.rows()]
    factors = term_factors(fit.random, fit.theta_values)
    # Upper Cholesky factors of the covariance of each cluster, relative to sigma^2.
    roots = [np.asarray(cholesky(relative_covariance(fit, factors, weights, rows))) for rows in kept]
    solved = [solve_triangular(U, X[rows], trans=1) for U, rows in zip(roots, kept, strict=True)]
    information = np.array([A.T @ A for A in solved])
    bread = np.linalg.inv(information.sum(axis=0))
    if power == BIAS_REDUCED:
        parts = [_bias_reduced(U, X[r], e[r], bread) for U, r in zip(roots, kept, strict=True)]
        scores, squares, crosses = (np.array(part) for part in zip(*parts, strict=True))
    else:
        plain = [
            A.T @ solve_triangular(U, e[r], trans=1) for A, U, r in zip(solved, roots, kept, strict=True)
        ]
        scores, squares, crosses = adjusted_scores(bread, np.array(plain), information, power)
    return Sandwich(bread, scores, squares, crosses, np.eye(len(bread)), factor)


def _working_rows(fit: Fit) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return model matrix, residuals and weights of the rows on the scale of the response.

    Of a generalized model X is the derivative of the mean in beta.
    """
    X, family = fit.design.X, fit.family()
    if family is None:
        offset = 0.0 if fit.design.offset is None else fit.design.offset
        return X, fit.y - offset - X @ fit.beta, fit.prior_weights
    eta = fit.linear_predictor
    rows = family.evaluate(fit.y, eta, fit.prior_weights, fit.phi, observed=False)
    slope = response_slope(family, eta, fit.phi)
    known = rows.information > 0.0
    e = np.divide(rows.d1 * slope, rows.information, out=np.zeros_like(slope), where=known)
    weights = np.divide(rows.information, slope**2, out=np.zeros_like(slope), where=known)
    return X * slope[:, None], e, weights


def _bias_reduced(
    U: FloatArray, X: FloatArray, e: FloatArray, bread: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return adjusted score, square and cross of one cluster (Pustejovsky & Tipton 2018, eq. 11).

    ``A = U' (U (V - X M X') U')^-1/2 U`` for ``V = U'U``.
    """
    XU = X @ bread
    G = U @ (U.T @ U - XU @ X.T) @ U.T
    A = U.T @ symmetric_power(0.5 * (G + G.T), -0.5) @ U
    VX = solve_triangular(U, solve_triangular(U, X, trans=1))
    AVX = A @ VX
    UAVX = U @ AVX
    return AVX.T @ e, UAVX.T @ UAVX, X.T @ AVX


# Generalized linear mixed models.


def _generalized_sandwich(fit: Fit, clusters: Clusters, power: float, factor: float) -> Sandwich:
    """Return the pieces in the optimiser's vector (free theta, gamma, free phi)."""
    assert isinstance(fit, GeneralizedFit)
    problem, estimates = fit.problem, fit.estimates
    if estimates.nAGQ == 0:
        raise NotAvailableError(
            "nAGQ=0 maximises no likelihood in the fixed effects, so that there are no scores; fit the model "
            "with nAGQ=1 for a robust covariance."
        )
    psi = natural_to_psi(problem, natural_parameters(estimates))
    try:
        bread = np.asarray(2.0 * np.linalg.inv(objective_hessian(problem, estimates)), dtype=np.float64)
        np.linalg.cholesky(bread)
    except np.linalg.LinAlgError:
        raise NotAvailableError(
            "the Hessian of the log-likelihood is not positive definite: the data do not determine all "
            "parameters, and a robust covariance needs them."
        ) from None
    parts = cluster_problems(problem, clusters.codes, clusters.size)
    scores = -0.5 * gradients(parts, psi, estimates.nAGQ)
    information = 0.5 * hessians(parts, psi, estimates.nAGQ, np.sqrt(np.diagonal(bread)))
    k, p = problem.n_theta, problem.n_fixed
    fixed = natural_jacobian(problem, psi)[k : k + p]
    return Sandwich(bread, *adjusted_scores(bread, scores, information, power), fixed, factor)
