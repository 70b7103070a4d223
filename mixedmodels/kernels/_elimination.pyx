# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twin of mixedmodels/kernels/elimination.py; see there."""

from libc.stdint cimport int32_t

import numpy as np


def column_structures(const int32_t[::1] row_starts, const int32_t[::1] columns):
    cdef Py_ssize_t n = row_starts.shape[0] - 1
    starts_array = np.zeros(n + 1, dtype=np.intp)
    cdef Py_ssize_t[::1] starts = starts_array
    cdef Py_ssize_t[::1] parents = np.full(n, -1, dtype=np.intp)
    cdef Py_ssize_t[::1] seen = np.full(n, -1, dtype=np.intp)
    cdef Py_ssize_t[::1] ends
    cdef int32_t[::1] rows
    cdef Py_ssize_t i, j, k
    # Row i of the factor holds every column on the way up the elimination tree from the columns of row i.
    with nogil:
        for i in range(n):
            seen[i] = i
            for k in range(row_starts[i], row_starts[i + 1]):
                j = columns[k]
                while seen[j] != i:
                    if parents[j] < 0:
                        parents[j] = i
                    starts[j + 1] += 1
                    seen[j] = i
                    j = parents[j]
        for i in range(n):
            starts[i + 1] += starts[i]
    rows_array = np.empty(starts[n], dtype=np.int32)
    rows = rows_array
    ends = starts_array[:n].copy()
    with nogil:
        for i in range(n):
            seen[i] = n + i
            for k in range(row_starts[i], row_starts[i + 1]):
                j = columns[k]
                while seen[j] != n + i:
                    rows[ends[j]] = <int32_t>i
                    ends[j] += 1
                    seen[j] = n + i
                    j = parents[j]
    return starts_array, rows_array
