# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twin of mixedmodels/kernels/level_starts.py; see there."""

from libc.stdint cimport int32_t

import numpy as np


def level_starts(of_rows, Py_ssize_t q):
    cdef const int32_t[:] codes = np.asarray(of_rows, dtype=np.int32)
    cdef Py_ssize_t n = codes.shape[0], r, level = -1
    cdef Py_ssize_t[::1] starts = np.empty(q + 1, dtype=np.intp)
    for r in range(n):
        if codes[r] < level or codes[r] >= q:
            return None
        while level < codes[r]:
            level += 1
            starts[level] = r
    while level < q:
        level += 1
        starts[level] = n
    return starts.base
