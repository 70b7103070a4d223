# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of mixedmodels/kernels/schur.py; see there."""

from libc.stdint cimport int32_t


def subtract_schur(
    double[:, :] tail,
    const int32_t[::1] levels,
    const int32_t[::1] starts,
    const int32_t[::1] rows,
    const double[:, ::1] values,
    const double[:, :, :] P,
):
    cdef Py_ssize_t n = levels.shape[0], S = values.shape[0]
    cdef Py_ssize_t k, e, b, s, t, level
    cdef double weight
    cdef double* sums
    cdef const double* row
    with nogil:
        for k in range(n):
            level = levels[k]
            for e in range(starts[level], starts[level + 1]):
                sums = &tail[rows[e], 0]
                for s in range(S):
                    weight = 0.0
                    for t in range(S):
                        weight += P[s, t, level] * values[t, e]
                    row = &values[s, 0]
                    for b in range(starts[level], e + 1):
                        sums[rows[b]] -= weight * row[b]


def add_sandwich(
    double[:, :, ::1] N,
    const int32_t[::1] levels,
    const int32_t[::1] starts,
    const int32_t[::1] rows,
    const double[:, ::1] values,
    const double[:, :] V,
):
    cdef Py_ssize_t n = levels.shape[0], S = values.shape[0]
    cdef Py_ssize_t k, e, b, s, t, level
    cdef double total
    cdef const double* sampled
    cdef const double* row
    with nogil:
        for k in range(n):
            level = levels[k]
            for e in range(starts[level], starts[level + 1]):
                sampled = &V[rows[e], 0]
                for s in range(S):
                    row = &values[s, 0]
                    # Half of the entry itself: each pair below counts once in either order.
                    total = 0.5 * sampled[rows[e]] * row[e]
                    for b in range(starts[level], e):
                        total += sampled[rows[b]] * row[b]
                    for t in range(S):
                        N[s, t, level] += total * values[t, e]
                        N[t, s, level] += total * values[t, e]
