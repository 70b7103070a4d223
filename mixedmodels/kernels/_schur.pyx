# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of mixedmodels/kernels/schur.py; see there."""

from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free, malloc


cdef struct ByRow:
    # Entries of the visited levels in order of their rows: where those of each row start, which entry each one
    # is and of which level. Row by row, one row of the dense matrix stays in the cache.
    int32_t* starts
    int32_t* entries
    int32_t* levels


cdef int sort_by_row(
    const int32_t[::1] levels, const int32_t[::1] starts, const int32_t[::1] rows, Py_ssize_t n_rows,
    ByRow* by_row
) noexcept nogil:
    # Fill `by_row`; 0 if there was memory for it.
    cdef Py_ssize_t k, e, count = 0, place
    for k in range(levels.shape[0]):
        count += starts[levels[k] + 1] - starts[levels[k]]
    by_row.starts = <int32_t*> calloc(n_rows + 2, sizeof(int32_t))
    by_row.entries = <int32_t*> malloc((count + 1) * sizeof(int32_t))
    by_row.levels = <int32_t*> malloc((count + 1) * sizeof(int32_t))
    if by_row.starts == NULL or by_row.entries == NULL or by_row.levels == NULL:
        return 1
    for k in range(levels.shape[0]):
        for e in range(starts[levels[k]], starts[levels[k] + 1]):
            by_row.starts[rows[e] + 2] += 1
    for k in range(n_rows):
        by_row.starts[k + 2] += by_row.starts[k + 1]
    for k in range(levels.shape[0]):
        for e in range(starts[levels[k]], starts[levels[k] + 1]):
            place = by_row.starts[rows[e] + 1]
            by_row.starts[rows[e] + 1] += 1
            by_row.entries[place], by_row.levels[place] = <int32_t> e, levels[k]
    return 0


cdef void release(ByRow* by_row) noexcept nogil:
    free(by_row.starts)
    free(by_row.entries)
    free(by_row.levels)


def subtract_schur(
    double[:, :] tail,
    const int32_t[::1] levels,
    const int32_t[::1] starts,
    const int32_t[::1] rows,
    const double[:, ::1] values,
    const double[:, :, :] P,
):
    cdef Py_ssize_t n = tail.shape[0], S = values.shape[0]
    cdef Py_ssize_t r, k, e, b, s, t, level
    cdef int failed
    cdef double weight
    cdef double* sums
    cdef const double* row
    cdef ByRow by_row
    with nogil:
        failed = sort_by_row(levels, starts, rows, n, &by_row)
        for r in range(0 if failed else n):
            sums = &tail[r, 0]
            for k in range(by_row.starts[r], by_row.starts[r + 1]):
                e, level = by_row.entries[k], by_row.levels[k]
                for s in range(S):
                    weight = 0.0
                    for t in range(S):
                        weight += P[s, t, level] * values[t, e]
                    row = &values[s, 0]
                    for b in range(starts[level], e + 1):
                        sums[rows[b]] -= weight * row[b]
        release(&by_row)
    if failed:
        raise MemoryError


def add_sandwich(
    double[:, :, ::1] N,
    const int32_t[::1] levels,
    const int32_t[::1] starts,
    const int32_t[::1] rows,
    const double[:, ::1] values,
    const double[:, :] V,
):
    cdef Py_ssize_t n = V.shape[0], S = values.shape[0]
    cdef Py_ssize_t r, k, e, b, s, t, level
    cdef int failed
    cdef double total
    cdef const double* sampled
    cdef const double* row
    cdef ByRow by_row
    with nogil:
        failed = sort_by_row(levels, starts, rows, n, &by_row)
        for r in range(0 if failed else n):
            sampled = &V[r, 0]
            for k in range(by_row.starts[r], by_row.starts[r + 1]):
                e, level = by_row.entries[k], by_row.levels[k]
                for s in range(S):
                    row = &values[s, 0]
                    # Half of the entry itself: each pair below counts once in either order.
                    total = 0.5 * sampled[rows[e]] * row[e]
                    for b in range(starts[level], e):
                        total += sampled[rows[b]] * row[b]
                    for t in range(S):
                        N[s, t, level] += total * values[t, e]
                        N[t, s, level] += total * values[t, e]
        release(&by_row)
    if failed:
        raise MemoryError
