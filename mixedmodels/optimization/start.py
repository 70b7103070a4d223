"""Starting values and starting curvature of the covariance parameters, from the data.

All of it comes from the moments of one evaluation. In units of the current factor T (a change
``dT = T E``), with q levels, ``B = I - mean_l Var(u_l | y)/sigma^2`` the share of the information the data
hold and ``Gamma = sum_l (I - S_ll)`` half the scaled gradient,

    expected Hessian        kappa q tr(B (E + E') B (F + F')) + 2 tr(Gamma E F')
    Fisher scoring step     Sigma <- T (I - B^-1 Gamma B^-1 / (kappa q)) T'

where kappa corrects for levels of unequal information. The Hessian is that of one term with the others
held fixed; quasi-Newton updates supply the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.factorization.blocks import term_slices
from mixedmodels.formula.design import RandomTerm
from mixedmodels.likelihood.gradient import BlockMoments
from mixedmodels.likelihood.profiled import LinearProblem, theta_slices

#: Share of information below which a direction counts as hardly identified; bounds the first steps.
LEAST_SHARE = 0.05
#: Bounds of one Fisher scoring step: no variance shrinks or grows by more.
LEAST_FACTOR, LARGEST_FACTOR = 0.01, 1e4


@dataclass(frozen=True, slots=True)
class TermMoments:
    """Moments of one term in units of its factor.

    Attributes
    ----------
    B : ndarray, shape (S, S)
        Mean share of information, eigenvalues at least ``LEAST_SHARE``.
    Gamma : ndarray, shape (S, S)
        ``q I - sum_l S_ll``.
    weight : float
        ``kappa q``.
    """

    B: FloatArray
    Gamma: FloatArray
    weight: float


def column_scales(term: RandomTerm) -> FloatArray:
    """Return the size of a unit-variance effect of each coefficient: 1 / RMS of its column, shape (S,)."""
    rms = np.sqrt(np.einsum("ij,ij->j", term.Z, term.Z) / len(term.Z))
    return np.where(rms > 0.0, 1.0 / np.where(rms > 0.0, rms, 1.0), 1.0)


def moments_by_term(problem: LinearProblem, moments: tuple[BlockMoments, ...]) -> tuple[TermMoments, ...]:
    """Return the moments of every term in design order."""
    by_term: dict[int, TermMoments] = {}
    for block, at in zip(problem.pattern.blocks, moments, strict=True):
        q = at.n_levels
        for k, rows in term_slices(block):
            identity = np.eye(rows.stop - rows.start)
            share = identity - at.variance[rows, rows] / q
            Gamma = q * (share) - at.second[rows, rows]
            full = np.eye(block.size) - at.variance / q
            kappa = at.variance_square / max(q * float(np.vdot(full, full)), 1e-300)
            by_term[k] = TermMoments(_floored(share, LEAST_SHARE), Gamma, q * max(kappa, 1.0))
    return tuple(by_term[k] for k in range(len(problem.terms)))


def _floored(A: FloatArray, least: float, largest: float = np.inf) -> FloatArray:
    """Return a symmetric matrix with its eigenvalues moved into an interval."""
    values, vectors = np.linalg.eigh((A + A.T) / 2.0)
    return np.asarray((vectors * np.clip(values, least, largest)) @ vectors.T)


def scored(structure: CovarianceStructure, theta: FloatArray, at: TermMoments) -> FloatArray:
    """Return theta after one step of Fisher scoring in the covariance, kept positive definite.

    Structures other than ``us`` and ``diag`` have no closed form and keep their theta.
    """
    if structure.name not in {"us", "diag"}:
        return theta
    T, identity = structure.factor(theta), np.eye(structure.size)
    if structure.name == "diag":
        step = np.diag(np.diagonal(at.Gamma) / np.diagonal(at.B) ** 2)
    else:
        half = np.linalg.solve(at.B, at.Gamma)
        step = np.linalg.solve(at.B, half.T)
    grown = _floored(identity - step / at.weight, LEAST_FACTOR, LARGEST_FACTOR)
    scored_T = np.linalg.cholesky(T @ grown @ T.T)
    rows, cols = np.nonzero(np.tril(_jacobian(structure, theta).any(axis=0)))
    order = np.lexsort((rows, cols))
    return scored_T[rows[order], cols[order]]


def _jacobian(structure: CovarianceStructure, theta: FloatArray) -> FloatArray:
    """Return ``dT / dtheta_k``, shape (n_theta, S, S)."""
    S = structure.size
    jacobian = np.zeros((structure.n_theta, S, S))
    for i in range(S):
        for j in range(i + 1):
            unit = np.zeros((S, S))
            unit[i, j] = 1.0
            jacobian[:, i, j] = structure.pullback(theta, unit)
    return jacobian


def expected_hessian(structure: CovarianceStructure, theta: FloatArray, at: TermMoments) -> FloatArray:
    """Return the expected Hessian of the objective in theta for one term, positive definite."""
    T = structure.factor(theta)
    E = np.linalg.solve(T, _jacobian(structure, theta))
    BE = at.B @ (E + E.transpose(0, 2, 1))
    hessian = at.weight * np.einsum("kij,lji->kl", BE, BE)
    curvature = _floored(at.Gamma, 0.0)
    return np.asarray(hessian + 2.0 * np.einsum("ij,kjm,lim->kl", curvature, E, E))


def inverse_hessian(problem: LinearProblem, theta: FloatArray, terms: tuple[TermMoments, ...]) -> FloatArray:
    """Return the block-diagonal inverse of the expected Hessian in theta."""
    H = np.zeros((problem.n_theta, problem.n_theta))
    for term, part, at in zip(problem.terms, theta_slices(problem.terms), terms, strict=True):
        hessian = expected_hessian(term.structure, theta[part], at)
        scale = np.sqrt(np.diagonal(hessian))
        scaled = hessian / np.multiply.outer(scale, scale)
        H[part, part] = np.linalg.inv(_floored(scaled, 1e-8)) / np.multiply.outer(scale, scale)
    return H
