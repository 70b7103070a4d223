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
    cdef Py_ssize_t n = rows.shape[0], q = level_starts.shape[0] - 1, n_groups = sizes.shape[0]
    starts_array = np.zeros(n + 1, dtype=np.int32)
    cdef int32_t[::1] starts = starts_array
    cdef int32_t[::1] level_start = np.empty(n, dtype=np.int32)
    cdef int32_t[::1] ends = np.zeros(n_groups + 1, dtype=np.int32)
    cdef int32_t[::1] by_group = np.empty(n, dtype=np.int32)
    cdef int32_t[::1] pair_of = np.empty(n_groups, dtype=np.int32)
    cdef Py_ssize_t l, e, m, i, k, a, pair
    cdef int32_t other
    with nogil:
        for l in range(q):
            for e in range(level_starts[l], level_starts[l + 1]):
                level_start[e] = level_starts[l]
                starts[e + 1] = starts[e] + <int32_t>(e - level_starts[l] + 1)
                ends[group[rows[e]] + 1] += 1
        for a in range(n_groups):
            ends[a + 1] += ends[a]
        for e in range(n):
            by_group[ends[group[rows[e]]]] = <int32_t>e
            ends[group[rows[e]]] += 1
    second_array = np.empty(starts[n], dtype=np.int32)
    numbers_array = np.empty(starts[n], dtype=np.int32)
    cdef int32_t[::1] second = second_array, numbers = numbers_array
    with nogil:
        # Group by group, so that the table of the groups it meets is filled once.
        k = 0
        for a in range(n_groups):
            for pair in range(group_starts[a], group_starts[a + 1]):
                pair_of[group_columns[pair]] = <int32_t>pair
            while k < ends[a]:
                e = by_group[k]
                i = starts[e]
                for m in range(level_start[e], e + 1):
                    other = group[rows[m]]
                    pair = pair_of[other]
                    second[i] = <int32_t>m
                    numbers[i] = begins[pair] + strides[pair] * (
                        coefficient[rows[e]] * sizes[other] + coefficient[rows[m]]
                    )
                    i += 1
                k += 1
    return starts_array, second_array, numbers_array
