"""Sums over the rows of each group, for groups that never change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray

# Rows per group from which summing contiguous stretches beats counting row by row (measured).
LONG_GROUPS = 8


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RowSums:
    """How to sum rows by group.

    Attributes
    ----------
    index : ndarray of intp, shape (n,)
        Group of each row.
    size : int
        Number of groups; those without rows have sum zero.
    order : ndarray of intp, shape (n,), or None
        Rows sorted by group; None where they are sorted, or where the rows are counted one by one.
    starts : ndarray of intp, or None
        First of the sorted rows of each group that has any; None where the rows are counted one by one.
    present : ndarray of intp, or None
        Groups that have rows; None if all have.
    """

    index: IntArray
    size: int
    order: IntArray | None
    starts: IntArray | None
    present: IntArray | None


def row_sums(index: IntArray, size: int) -> RowSums:
    """Choose how to sum rows by group: contiguous stretches of sorted rows, or row by row."""
    counts = np.bincount(index, minlength=size)
    occupied = int(np.count_nonzero(counts))
    single = occupied == len(index)
    if len(index) < LONG_GROUPS * occupied and not single:
        return RowSums(index, size, None, None, None)
    is_sorted = bool((index[1:] >= index[:-1]).all())
    order = None if is_sorted else np.argsort(index, kind="stable")
    present = None if occupied == size else np.flatnonzero(counts)
    ends = np.cumsum(counts if present is None else counts[present])
    return RowSums(index, size, order, np.concatenate(([0], ends[:-1])), present)


def counted_rows(index: IntArray, size: int) -> RowSums:
    """Return sums of rows by group that are counted row by row."""
    return RowSums(index, size, None, None, None)


def sum_rows(by: RowSums, rows: FloatArray) -> FloatArray:
    """Return the sums over rows of each group, shape (..., n) to (..., size)."""
    if by.starts is None:
        if rows.ndim == 1:
            return count_rows(by.index, rows, by.size)
        out = np.empty((*rows.shape[:-1], by.size))
        for sums, own in zip(out.reshape(-1, by.size), rows.reshape(-1, rows.shape[-1]), strict=True):
            sums[:] = count_rows(by.index, own, by.size)
        return out
    if by.order is not None:
        rows = rows.take(by.order, axis=-1)
    if len(by.starts) < rows.shape[-1]:
        sums = np.add.reduceat(rows, by.starts, axis=-1)
    else:
        sums = rows.copy() if by.order is None else rows
    if by.present is None:
        return sums
    out = np.zeros((*rows.shape[:-1], by.size))
    out[..., by.present] = sums
    return out


def count_rows(index: IntArray, weights: FloatArray, size: int) -> FloatArray:
    """Return the sums of weights with equal index."""
    return np.asarray(np.bincount(index, weights=weights, minlength=size), dtype=np.float64)
