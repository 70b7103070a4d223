"""Kenward and Roger's tests of the fixed effects of a linear mixed model fitted by REML.

The covariance of the fixed effects is adjusted for the variances being estimates, and F is scaled and given
denominator degrees of freedom so that its first two moments are those of an F distribution (Kenward & Roger
1997, Biometrics 53, 983-997; Halekoh & Hojsgaard 2014, J. Stat. Softw. 59(9), whose pbkrtest gives the same
numbers). The covariance of the variances is twice the inverse of their expected information.

Unstructured, diagonal and homogeneous compound symmetric terms are linear in variances and covariances. Other
``cs`` and ``ar1`` terms are not: Kenward and Roger's bias has their second derivatives, which depend on how
a structure is parametrised and are taken in variances and correlations, as SAS does; where a parameter is at
its bound the term is taken as linear. Variances that are zero count as estimated, as in pbkrtest. Prior
weights are part of the covariance of the rows, which pbkrtest leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.expected_information import ExpectedInformation
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.linear import LinearFit
from mixedmodels.inference.satterthwaite import moment_df

#: Eigenvalues of the expected information, scaled to unit diagonal, below which a direction is not estimated.
UNKNOWN = 1e-10
#: Where F's second moment is within this of none, F is not scaled (pbkrtest's constants, also those below).
NO_MOMENT = 1e-2
VANISHES, ZERO_BY_ZERO = 1e-10, 1e-14


@dataclass(frozen=True, slots=True)
class KenwardRoger:
    """Kenward and Roger's degrees of freedom; those of contrasts.DegreesOfFreedom.

    Attributes
    ----------
    root : ndarray, shape (p, p)
        A with ``A'A`` the covariance of the fixed effects over sigma^2, not adjusted.
    changes : ndarray, shape (k, p, p)
        ``N_i``, whose ``A' N_i A`` are its derivatives, negative, in the directions of the variances.
    information : ndarray, shape (k, k)
        Covariance of the coordinates in these directions, W.
    """

    root: FloatArray
    changes: FloatArray
    information: FloatArray

    @property
    def method(self) -> str:
        """Name of the method."""
        return "Kenward-Roger's method"

    def of_rows(self, L: FloatArray) -> FloatArray:
        """Return the degrees of freedom of every row of L, shape (m,); NaN for a row of zeros."""
        return moment_df(L @ self.root.T, self.changes, self.information)

    def of_hypothesis(self, L: FloatArray) -> tuple[float, float]:
        """Return the denominator degrees of freedom of the F test of ``L beta``, and the factor of F."""
        if len(L) == 1:
            return float(self.of_rows(L)[0]), 1.0
        rows = L @ self.root.T
        projection = np.linalg.solve(rows @ rows.T, rows)
        moved = np.einsum("mp,kpq,nq->kmn", projection, self.changes, rows)
        traces = np.einsum("kmm->k", moved)
        A1 = float(traces @ self.information @ traces)
        A2 = float(np.einsum("kmn,kl,lnm->", moved, self.information, moved))
        return matched_moments(A1, A2, len(L))


def matched_moments(A1: float, A2: float, q: int) -> tuple[float, float]:
    """Return degrees of freedom and factor of F from the two sums of Kenward & Roger (1997), section 3.2.

    Parameters
    ----------
    A1, A2 : float
        ``sum W_ij tr(Theta Phi P_i Phi) tr(Theta Phi P_j Phi)`` and
        ``sum W_ij tr(Theta Phi P_i Phi Theta Phi P_j Phi)``.
    q : int
        Number of contrasts.
    """
    B = (A1 + 6.0 * A2) / (2.0 * q)
    g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
    divisor = 3.0 * q + 2.0 * (1.0 - g)
    V0 = 1.0 + g / divisor * B
    V1 = 1.0 - (q - g) / divisor * B
    V2 = 1.0 - (q + 2.0 - g) / divisor * B
    V0 = 0.0 if abs(V0) < VANISHES else V0
    E = 1.0 - A2 / q
    ratio = 1.0 if abs(E) < ZERO_BY_ZERO and abs(V1) < ZERO_BY_ZERO else E / V1
    rho = ratio**2 * V0 / (V2 * q)
    df = 4.0 + (q + 2.0) / (q * rho - 1.0)
    return df, 1.0 if abs(df - 2.0) < NO_MOMENT else df * E / (df - 2.0)


def kenward_roger(fit: LinearFit) -> tuple[FloatArray, KenwardRoger]:
    """Return the adjusted covariance of the fixed effects and the degrees of freedom of tests with it.

    Parameters
    ----------
    fit : LinearFit
        A fit by REML.

    Raises
    ------
    NotAvailableError
        If the fit is by maximum likelihood, or the method is out of reach for its size.
    """
    if not fit.is_reml:
        raise NotAvailableError(
            "Kenward and Roger's method is for fits by REML; fit the model with REML=True, or use "
            "ddf='satterthwaite'."
        )
    sigma, pieces = fit.sigma(), fit.expected_information
    root = fit.covariance_root / sigma
    # Orthonormal fixed effects, which `pieces` are about, in units of their own covariance.
    K = root @ np.linalg.inv(fit.problem.fixed_basis.R_inverse).T
    P, Q = K @ pieces.P @ K.T, K @ pieces.Q @ K.T
    W = variance_covariance(pieces, P, Q, fit.problem.n)
    bias = np.einsum("ij,ijpq->pq", W[:-1, :-1], Q - np.einsum("ipq,jqs->ijps", P, P))
    bias -= 0.25 * K @ pieces.second_order(W) @ K.T
    identity = np.eye(len(root))
    adjusted = root.T @ (identity + 2.0 * bias) @ root
    return sigma**2 * adjusted, KenwardRoger(root, np.concatenate([P, -identity[None]]), W)


def variance_covariance(pieces: ExpectedInformation, P: FloatArray, Q: FloatArray, n: int) -> FloatArray:
    """Return the covariance of the variances, in the directions of `pieces` and the scale of all of them.

    Parameters
    ----------
    pieces : ExpectedInformation
        For k directions.
    P, Q : ndarray, shape (k, p, p) and (k, k, p, p)
        Those of `pieces` with fixed effects of unit covariance.
    n : int
        Number of rows.

    Returns
    -------
    ndarray, shape (k + 1, k + 1)
    """
    k, p = P.shape[:2]
    information = np.empty((k + 1, k + 1))
    information[:k, :k] = pieces.products - 2.0 * np.einsum("ijpp->ij", Q) + np.einsum("ipq,jqp->ij", P, P)
    information[k, :k] = information[:k, k] = pieces.traces + np.einsum("ipp->i", P)
    information[k, k] = n - p
    # A direction that rounding leaves without information is not estimated.
    scale = np.sqrt(np.where(information.diagonal() > 0.0, information.diagonal(), np.inf))
    values, vectors = np.linalg.eigh(information / np.multiply.outer(scale, scale))
    known = values > UNKNOWN
    root = vectors[:, known] / scale[:, None] / np.sqrt(values[known])
    return np.asarray(2.0 * root @ root.T)
