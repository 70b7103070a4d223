"""Whitening of rows each of which depends on the one before it alone: O(T) for a group of T rows."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray


def whiten_steps(a: FloatArray, v: FloatArray, rows: FloatArray) -> tuple[FloatArray, float]:
    """Return what the rows before do not predict over its standard deviation, and ``log |C|``.

    Parameters
    ----------
    a, v : ndarray, shape (K, T - 1)
        Correlation of each row with the one before, and ``1 - a^2``.
    rows : ndarray, shape (K, T, q)
        In the order of their positions.
    """
    white = rows.copy()
    white[:, 1:] = (rows[:, 1:] - a[..., None] * rows[:, :-1]) / np.sqrt(v)[..., None]
    return white, float(np.sum(np.log(v)))


def whiten_steps_pullback(
    a: FloatArray, v: FloatArray, rows: FloatArray, dwhite: FloatArray, dlog_det: float
) -> tuple[FloatArray, FloatArray]:
    """Return the gradients in `a` (K, T - 1) and in `rows` (K, T, q)."""
    scaled = dwhite[:, 1:] / np.sqrt(v)[..., None]
    drows = dwhite.copy()
    drows[:, 1:] = scaled
    drows[:, :-1] -= a[..., None] * scaled
    direct = np.sum(scaled * rows[:, :-1], axis=-1)
    error = np.sum(scaled * (rows[:, 1:] - a[..., None] * rows[:, :-1]), axis=-1)
    # v = 1 - a^2: d white / dv = -white / (2 v), d log v / dv = 1 / v, and dv/da = -2 a.
    return error * a / v - direct - 2.0 * dlog_det * a / v, drows


def colour_steps(a: FloatArray, v: FloatArray, rows: FloatArray) -> FloatArray:
    """Return ``L rows``, the inverse of :func:`whiten_steps`, row after row."""
    coloured = rows.copy()
    for t in range(1, rows.shape[1]):
        kept, new = a[:, t - 1, None], np.sqrt(v[:, t - 1, None])
        coloured[:, t] = kept * coloured[:, t - 1] + new * rows[:, t]
    return coloured
