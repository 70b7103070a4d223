# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of mixedmodels/kernels/level_products.py; see there."""

from libc.math cimport sqrt
from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free

import numpy as np

cdef enum:
    # Columns of a term, as level_products.MAX_COLUMNS.
    MAX_Z = 8


def level_products(const int32_t[::1] codes, Py_ssize_t q, const double[:, :] Z, const double[:, :] X):
    cdef Py_ssize_t n = Z.shape[0], S = Z.shape[1], p = X.shape[1], r, i, j, k, level
    faces_array = np.zeros((S, S, q))
    cross_array = np.zeros((p, S, q))
    cdef double[:, :, ::1] faces = faces_array, cross = cross_array
    cdef double z
    with nogil:
        for i in range(S):
            for r in range(n):
                level = codes[r]
                z = Z[r, i]
                for j in range(i + 1):
                    faces[i, j, level] += z * Z[r, j]
                for k in range(p):
                    cross[k, i, level] += X[r, k] * z
        for i in range(S):
            for j in range(i):
                for level in range(q):
                    faces[j, i, level] = faces[i, j, level]
    return faces_array, cross_array


def regular_pairs(const int32_t[::1] codes, Py_ssize_t q, const double[:, :] Z, double least):
    cdef Py_ssize_t n = codes.shape[0], r, level, found = 0
    cdef double* sums = <double*> calloc(3 * q, sizeof(double))
    cdef double* own
    cdef double squares
    if sums == NULL:
        raise MemoryError()
    with nogil:
        for r in range(n):
            own = sums + 3 * codes[r]
            own[0] += Z[r, 0] * Z[r, 0]
            own[1] += Z[r, 0] * Z[r, 1]
            own[2] += Z[r, 1] * Z[r, 1]
        for level in range(q):
            own = sums + 3 * level
            squares = own[0] * own[2]
            found += squares - own[1] * own[1] > least * squares
        free(sums)
    return found


def reversed_cholesky(const double[:, :] gram, double least):
    cdef Py_ssize_t S = gram.shape[0], i, j, k
    cdef double t
    cdef double[MAX_Z] scale
    cdef double[MAX_Z][MAX_Z] C, inverse
    for i in range(S):
        if not gram[i, i] > 0.0:
            return None
        scale[i] = sqrt(gram[i, i])
    # From the last column to the first: gram = C'C with C lower triangular.
    for j in range(S - 1, -1, -1):
        for i in range(j, -1, -1):
            t = gram[j, i] / (scale[i] * scale[j])
            for k in range(j + 1, S):
                t -= C[k][j] * C[k][i]
            if i < j:
                C[j][i] = t / C[j][j]
            elif t > least * least:
                C[j][j] = sqrt(t)
            else:
                return None
    C_array, inverse_array = np.zeros((S, S)), np.zeros((S, S))
    cdef double[:, ::1] out = C_array, back = inverse_array
    for i in range(S):
        for j in range(i + 1):
            C[i][j] *= scale[j]
            out[i, j] = C[i][j]
    for j in range(S):
        for i in range(j, S):
            t = 1.0 if i == j else 0.0
            for k in range(j, i):
                t -= C[i][k] * inverse[k][j]
            inverse[i][j] = t / C[i][i]
            back[i, j] = inverse[i][j]
    return C_array, inverse_array
