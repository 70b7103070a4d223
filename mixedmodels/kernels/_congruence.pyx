# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twin of mixedmodels/kernels/congruence.py; see there."""

from libc.stdlib cimport free, malloc


def congruence(double[:, :] A, const double[:, :] T, Py_ssize_t start, Py_ssize_t stop):
    cdef Py_ssize_t n = A.shape[0], S = T.shape[0]
    cdef Py_ssize_t group, first, i, r
    cdef double* x = <double*> malloc(S * sizeof(double))
    if x == NULL:
        raise MemoryError
    with nogil:
        for group in range((stop - start) // S):
            first = start + group * S
            for i in range(1, S):
                for r in range(i):
                    A[first + r, first + i] = A[first + i, first + r]
            for i in range(S):
                scale_columns(A, T, first + i, start, first + S, x)
            scale_rows(A, T, first, first + S, x)
        for r in range(stop, n):
            scale_columns(A, T, r, start, stop, x)
    free(x)


cdef void scale_columns(
    double[:, :] A, const double[:, :] T, Py_ssize_t r, Py_ssize_t start, Py_ssize_t stop, double* x
) noexcept nogil:
    """Multiply each group of columns of one row by T."""
    cdef Py_ssize_t S = T.shape[0], group, c, i, j
    cdef double* row = &A[r, 0]
    for group in range((stop - start) // S):
        c = start + group * S
        for j in range(S):
            x[j] = 0.0
            for i in range(S):
                x[j] += row[c + i] * T[i, j]
        for j in range(S):
            row[c + j] = x[j]


cdef void scale_rows(
    double[:, :] A, const double[:, :] T, Py_ssize_t first, Py_ssize_t width, double* x
) noexcept nogil:
    """Multiply one group of rows by T'."""
    cdef Py_ssize_t S = T.shape[0], c, i, j
    for c in range(width):
        for j in range(S):
            x[j] = 0.0
            for i in range(S):
                x[j] += T[i, j] * A[first + i, c]
        for j in range(S):
            A[first + j, c] = x[j]
