# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of mixedmodels/kernels/schur.py; see there."""

from libc.stdint cimport int32_t


def subtract_schur(
    double[:, :] tail,
    const int32_t[::1] row_starts,
    const int32_t[::1] by_row,
    const int32_t[::1] columns,
    const int32_t[::1] starts,
    const int32_t[::1] rows,
    const double[:, ::1] values,
    const double[:, :, :] P,
):
    cdef Py_ssize_t n_rows = row_starts.shape[0] - 1, S = values.shape[0]
    cdef Py_ssize_t r, k, e, b, s, t, level
    cdef double weight
    cdef double* sums
    cdef const double* row
    with nogil:
        for r in range(n_rows):
            sums = &tail[r, 0]
            for k in range(row_starts[r], row_starts[r + 1]):
                e = by_row[k]
                level = columns[e]
                for s in range(S):
                    weight = 0.0
                    for t in range(S):
                        weight += P[s, t, level] * values[t, e]
                    row = &values[s, 0]
                    for b in range(starts[level], e + 1):
                        sums[rows[b]] -= weight * row[b]


def add_sandwich(
    double[:, :, ::1] N,
    const int32_t[::1] row_starts,
    const int32_t[::1] by_row,
    const int32_t[::1] columns,
    const int32_t[::1] starts,
    const int32_t[::1] rows,
    const double[:, ::1] values,
    const double[:, :] V,
):
    cdef Py_ssize_t n_rows = row_starts.shape[0] - 1, S = values.shape[0]
    cdef Py_ssize_t r, k, e, b, s, t, level
    cdef double total
    cdef const double* sampled
    cdef const double* row
    with nogil:
        for r in range(n_rows):
            sampled = &V[r, 0]
            for k in range(row_starts[r], row_starts[r + 1]):
                e = by_row[k]
                level = columns[e]
                for s in range(S):
                    row = &values[s, 0]
                    # Half of the entry itself: each pair below counts once in either order.
                    total = 0.5 * sampled[r] * row[e]
                    for b in range(starts[level], e):
                        total += sampled[rows[b]] * row[b]
                    for t in range(S):
                        N[s, t, level] += total * values[t, e]
                        N[t, s, level] += total * values[t, e]
