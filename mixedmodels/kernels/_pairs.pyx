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


def number_pairs(
    const int32_t[::1] level_starts,
    const int32_t[::1] rows,
    const int32_t[::1] group,
    const int32_t[::1] coefficient,
    const int32_t[::1] sizes,
    const int32_t[::1] group_starts,
    const int32_t[::1] group_columns,
    const int32_t[::1] begins,
    const int32_t[::1] strides,
):
    cdef Py_ssize_t n = rows.shape[0], q = level_starts.shape[0] - 1
    starts_array = np.zeros(n + 1, dtype=np.int32)
    cdef int32_t[::1] starts = starts_array
    cdef Py_ssize_t l, e, m, i, pair
    cdef int32_t other
    for l in range(q):
        for e in range(level_starts[l], level_starts[l + 1]):
            starts[e + 1] = starts[e] + <int32_t>(e - level_starts[l] + 1)
    second_array = np.empty(starts[n], dtype=np.int32)
    numbers_array = np.empty(starts[n], dtype=np.int32)
    cdef int32_t[::1] second = second_array, numbers = numbers_array
    with nogil:
        i = 0
        for l in range(q):
            for e in range(level_starts[l], level_starts[l + 1]):
                # Both the entries of a level and the groups that meet are ascending.
                pair = group_starts[group[rows[e]]]
                for m in range(level_starts[l], e + 1):
                    other = group[rows[m]]
                    while group_columns[pair] != other:
                        pair += 1
                    second[i] = <int32_t>m
                    numbers[i] = begins[pair] + strides[pair] * (
                        coefficient[rows[e]] * sizes[other] + coefficient[rows[m]]
                    )
                    i += 1
    return starts_array, second_array, numbers_array
