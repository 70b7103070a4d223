# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of mixedmodels/kernels/pairs.py; see there."""

from libc.stdint cimport int32_t

import numpy as np


def subtract_pairs(
    double[::1] kept,
    const int32_t[::1] starts,
    const int32_t[::1] second,
    const int32_t[::1] numbers,
    const double[:, ::1] left,
    const double[:, ::1] right,
):
    cdef Py_ssize_t n = left.shape[1], S = left.shape[0]
    cdef Py_ssize_t e, i, s
    cdef double weight
    with nogil:
        for s in range(S):
            for e in range(n):
                weight = left[s, e]
                for i in range(starts[e], starts[e + 1]):
                    kept[numbers[i]] -= weight * right[s, second[i]]


def multiply_pairs(
    const int32_t[::1] starts,
    const int32_t[::1] second,
    const int32_t[::1] numbers,
    const double[:, ::1] values,
    const double[::1] kept,
):
    cdef Py_ssize_t n = values.shape[1], S = values.shape[0]
    out_array = np.zeros((S, n))
    cdef double[:, ::1] out = out_array
    cdef Py_ssize_t e, i, s, other
    cdef double v, total, element
    with nogil:
        for s in range(S):
            for e in range(n):
                v = values[s, e]
                total = 0.0
                # The last pair is the entry with itself and counts once.
                for i in range(starts[e], starts[e + 1] - 1):
                    other = second[i]
                    element = kept[numbers[i]]
                    total += element * values[s, other]
                    out[s, other] += element * v
                out[s, e] += total + kept[numbers[starts[e + 1] - 1]] * v
    return out_array
