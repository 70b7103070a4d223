# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of mixedmodels/kernels/crossed_pairs.py; see there."""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer

import numpy as np
from scipy.linalg import cython_blas

ctypedef void (*Gemm)(
    char*, char*, int*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*
) noexcept nogil


cdef void* routine(module, name):
    """SciPy's BLAS routine, without its headers."""
    capsule = module.__pyx_capi__[name]
    return PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))

ctypedef void (*Gemv)(
    char*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*
) noexcept nogil

cdef Gemm dgemm = <Gemm> routine(cython_blas, "dgemm")
cdef Gemv dgemv = <Gemv> routine(cython_blas, "dgemv")
cdef double one = 1.0, two = 2.0, zero = 0.0
cdef int next_one = 1

cdef enum:
    # Rows whose products are taken together.
    STRETCH = 128


def level_sums_of_columns(entries, const double[:, ::1] Q, u, const double[::1] W, const double[::1] g):
    """Return sums by level of W u_1, W u_2, W Q, W, g."""
    cdef const Py_ssize_t[::1] first = entries.first, second = entries.second
    cdef const double[::1] own = u[0], other = u[1]
    cdef Py_ssize_t n = W.shape[0], p = Q.shape[1], i, a
    found = np.zeros((own.shape[0], p + 4)), np.zeros((other.shape[0], p + 4))
    cdef double[:, ::1] A = found[0], B = found[1]
    cdef double* x
    cdef double* y
    cdef double w, v
    with nogil:
        for i in range(n):
            x, y, w = &A[first[i], 0], &B[second[i], 0], W[i]
            v = w * own[first[i]]
            x[0] += v
            y[0] += v
            v = w * other[second[i]]
            x[1] += v
            y[1] += v
            for a in range(p):
                v = w * Q[i, a]
                x[2 + a] += v
                y[2 + a] += v
            x[2 + p] += w
            y[2 + p] += w
            x[3 + p] += g[i]
            y[3 + p] += g[i]
    return found


def movement_products(
    entries, const double[:, ::1] Q, effects, const double[::1] weights, const double[:, ::1] others,
    const double[::1] slope,
):
    """Return products of the rows, and their sums by entry."""
    cdef const Py_ssize_t[::1] first = entries.first, second = entries.second, entry = entries.entry
    cdef const double[:, ::1] A = effects[0], B = effects[1]
    cdef Py_ssize_t n = slope.shape[0], p = Q.shape[1], i, k, a, begin = 0
    cdef int m = <int> A.shape[1], both = m + 2, size
    gram, by_entry = np.zeros((both, m)), np.zeros((m, len(entries.tail_rows)))
    room = np.empty(STRETCH * (2 * m + 2))
    cdef double[:, ::1] H = gram, V = by_entry
    cdef double[::1] E = room
    cdef double* x
    # The rows, and those that they are multiplied with: weighted, and the others.
    cdef double* weighted = &E[STRETCH * m]
    cdef double* y
    with nogil:
        while begin < n:
            size = <int> min(STRETCH, n - begin)
            for k in range(size):
                i, x, y = begin + k, &E[k * m], weighted + k * both
                for a in range(m):
                    x[a] = A[first[i], a] + B[second[i], a]
                for a in range(p):
                    x[2 + a] += Q[i, a]
                for a in range(m):
                    y[a] = weights[i] * x[a]
                    V[a, entry[i]] += slope[i] * x[a]
                y[m], y[m + 1] = others[0, i], others[1, i]
            dgemm("N", "T", &m, &both, &size, &one, &E[0], &m, weighted, &both, &one, &H[0, 0], &m)
            begin += STRETCH
    return gram[:m], gram[m:], by_entry


def schur_movement(
    entries, double[:, ::1] V, const double[::1] of_rows, const double[:, ::1] pivots, const double[::1] root,
    const double[::1] C, scales, double[:, ::1] G,
):
    """Return what moves of the eliminated part of Omega, and of its Schur complement."""
    cdef const Py_ssize_t[::1] starts = entries.starts, tail_rows = entries.tail_rows
    cdef Py_ssize_t m = V.shape[0], q = root.shape[0], a, b, l, e, i
    cdef int M = entries.n_tail, levels = <int> q, size = <int> V.shape[1], known
    cdef bint is_dense = entries.is_dense
    cdef double s = scales[0], t = scales[1], own, lost, r
    gram, complement = np.zeros((m, m)), np.zeros((m, M, M))
    room = np.empty(V.shape[1])
    cdef double[:, ::1] H = gram
    cdef double[:, :, ::1] S = complement
    cdef double[::1] work = room
    with nogil:
        for a in range(m):
            # 1. N in the place of V, M in the workspace.
            own = t if a == 0 else (s if a == 1 else 0.0)
            for l in range(q):
                r = pivots[a, l] * root[l] * root[l]
                for e in range(starts[l], starts[l + 1]):
                    lost = r * C[e]
                    work[e] = (s * t * V[a, e] + own * of_rows[e]) * root[l]
                    V[a, e] = work[e] - lost
                    work[e] -= 0.5 * lost
                for b in range(a + 1):
                    H[a, b] += r * pivots[b, l] * root[l] * root[l]
            # 2. The complement.
            if is_dense:
                dgemm("N", "T", &M, &M, &levels, &one, &work[0], &M, <double*> &C[0], &M, &zero, &S[a, 0, 0], &M)
            else:
                add_pairs(q, starts, tail_rows, C, work, S[a])
            make_symmetric(S[a])
            # 3. N G, and its products with the other N.
            if is_dense:
                dgemm("N", "N", &M, &levels, &M, &one, &G[0, 0], &M, &V[a, 0], &M, &zero, &work[0], &M)
            else:
                take_pairs(q, starts, tail_rows, G, V[a], work)
            known = <int> a + 1
            dgemv("T", &size, &known, &two, &V[0, 0], &size, &work[0], &next_one, &one, &H[a, 0], &next_one)
            for b in range(a):
                H[b, a] = H[a, b]
    return gram, complement


cdef void add_pairs(
    Py_ssize_t q, const Py_ssize_t[::1] starts, const Py_ssize_t[::1] tail_rows, const double[::1] C,
    const double[::1] M, double[:, ::1] S,
) noexcept nogil:
    """Add C'M, its entries listed."""
    cdef Py_ssize_t l, e, f
    cdef double* row
    for l in range(q):
        for e in range(starts[l], starts[l + 1]):
            row = &S[tail_rows[e], 0]
            for f in range(starts[l], starts[l + 1]):
                row[tail_rows[f]] += C[e] * M[f]


cdef void make_symmetric(double[:, ::1] S) noexcept nogil:
    """Replace a matrix by minus the sum of it and its transpose."""
    cdef Py_ssize_t i, j
    for i in range(S.shape[0]):
        for j in range(i + 1):
            S[i, j] = S[j, i] = -(S[i, j] + S[j, i])


cdef void take_pairs(
    Py_ssize_t q, const Py_ssize_t[::1] starts, const Py_ssize_t[::1] tail_rows, const double[:, ::1] G,
    const double[::1] N, double[::1] out,
) noexcept nogil:
    """Set N G, its entries listed."""
    cdef Py_ssize_t l, e, f
    cdef const double* row
    cdef double total
    for l in range(q):
        for e in range(starts[l], starts[l + 1]):
            row, total = &G[tail_rows[e], 0], 0.0
            for f in range(starts[l], starts[l + 1]):
                total += row[tail_rows[f]] * N[f]
            out[e] = total
