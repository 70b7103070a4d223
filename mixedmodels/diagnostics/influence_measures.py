"""Measures of how far estimates move when rows are left out (Belsley, Kuh & Welsch 1980; Loy & Hofmann 2014).

All take the estimates of every deletion: beta of shape (R, p), covariances of shape (R, p, p). NaN in those
of a deletion is NaN in its measures.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray


def quadratic_forms(differences: FloatArray, V: FloatArray) -> FloatArray:
    """Return ``d' V^-1 d / p`` of each deletion, shape (R,).

    Parameters
    ----------
    differences : ndarray, shape (R, p)
        Estimates without some rows minus those with them.
    V : ndarray, shape (p, p) or (R, p, p)
        Covariance: of the fit for Cook's distance, of each deletion for MDFFITS.
    """
    R, p = differences.shape
    if not p:
        return np.full(R, np.nan)
    scale, known = _unit_scale(V), ~np.isnan(differences).any(axis=1)
    unit = differences / scale
    correlation = np.broadcast_to(V / (scale[..., :, None] * scale[..., None, :]), (R, p, p))
    values = np.full(R, np.nan)
    solved = np.linalg.solve(correlation[known], unit[known][:, :, None])[:, :, 0]
    values[known] = np.einsum("rp,rp->r", unit[known], solved) / p
    return values


def covariance_ratios(V: FloatArray, deleted: FloatArray) -> FloatArray:
    """Return ``det(V_deleted) / det(V)`` of each deletion, shape (R,)."""
    scale = _unit_scale(V)
    unit = np.multiply.outer(scale, scale)
    ratios, known = np.full(len(deleted), np.nan), ~np.isnan(deleted).any(axis=(1, 2))
    logs = np.linalg.slogdet(deleted[known] / unit)[1] - np.linalg.slogdet(V / unit)[1]
    ratios[known] = np.exp(logs)
    return ratios


def covariance_traces(V: FloatArray, deleted: FloatArray) -> FloatArray:
    """Return ``|trace(V^-1 V_deleted) - p|`` of each deletion, shape (R,)."""
    scale = _unit_scale(V)
    unit = np.multiply.outer(scale, scale)
    inverse = np.linalg.inv(V / unit)
    return np.asarray(np.abs(np.einsum("ij,rji->r", inverse, deleted / unit) - len(V)))


def _unit_scale(V: FloatArray) -> FloatArray:
    """Return standard errors, by which covariances are divided before they are inverted."""
    return np.asarray(np.sqrt(np.diagonal(V, axis1=-2, axis2=-1)))
