# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of mixedmodels/kernels/crossed_pairs.py; see there."""

from libc.string cimport memset

from mixedmodels.kernels._blas cimport Gemm, routine

import numpy as np
from scipy.linalg import cython_blas

cdef Gemm dgemm = <Gemm> routine(cython_blas, "dgemm")
cdef double one = 1.0, two = 2.0, zero = 0.0

cdef extern from *:
    """
    #include <stddef.h>
    #include "_stretches.h"
    #include "_versions.h"

    /* Add the products of n rows of m columns with the m + 2 columns of others; of the first m the lower half.
       Columns are STRETCH numbers each. */
    IN_VERSIONS
    static void add_row_products(ptrdiff_t n, ptrdiff_t m, double* rows, double* others, double* H)
    {
        ptrdiff_t a, b;
        for (; n % LANES; n++) {
            for (a = 0; a < m; a++)
                rows[a * STRETCH + n] = 0.0;
            for (a = 0; a < m + 2; a++)
                others[a * STRETCH + n] = 0.0;
        }
        for (a = 0; a < m + 2; a++)
            for (b = 0; b < m && (b <= a || a >= m); b++)
                H[a * m + b] += column_product(n, rows + b * STRETCH, others + a * STRETCH);
    }

    /* Add a N + b W of the n entries of a level to their tail rows, one after the other where rows is NULL, and
       return the sum of c N + d W. */
    IN_VERSIONS
    static double move_pivot(
        ptrdiff_t n, double a, double b, double c, double d, const double* restrict N, const double* restrict W,
        const ptrdiff_t* rows, double* restrict tail
    ) {
        double sums[4] = {0.0};
        ptrdiff_t e = 0, k;
        for (; rows != NULL && e < n; e++)
            tail[rows[e]] += a * N[e] + b * W[e];
        for (; e < n; e++)
            tail[e] += a * N[e] + b * W[e];
        for (e = 0; e + 4 <= n; e += 4)
            for (k = 0; k < 4; k++)
                sums[k] += c * N[e + k] + d * W[e + k];
        for (; e < n; e++)
            sums[0] += c * N[e] + d * W[e];
        return (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }

    /* Set M = a N + b W - r C / 2 and N = a N + b W - r C of the n entries of a level. */
    IN_VERSIONS
    static void move_entries(
        ptrdiff_t n, double a, double b, double r, const double* restrict C, const double* restrict W,
        double* restrict N, double* restrict M
    ) {
        ptrdiff_t e;
        for (e = 0; e < n; e++) {
            double moved = a * N[e] + b * W[e], lost = r * C[e];
            N[e] = moved - lost;
            M[e] = moved - 0.5 * lost;
        }
    }
    """
    enum:
        STRETCH
    void add_row_products(
        Py_ssize_t n, Py_ssize_t m, double* rows, double* others, double* H
    ) noexcept nogil
    double move_pivot(
        Py_ssize_t n, double a, double b, double c, double d, const double* N, const double* W,
        const Py_ssize_t* rows, double* tail
    ) noexcept nogil
    void move_entries(
        Py_ssize_t n, double a, double b, double r, const double* C, const double* W, double* N, double* M
    ) noexcept nogil

cdef enum:
    # Entries that are looked at together, unless a single level has more: what belongs to them stays at hand.
    MOST_ENTRIES = 1024


def level_sums_of_columns(entries, const double[:, ::1] Q, u, const double[::1] W, const double[::1] g):
    """Return sums by level of W u_1, W u_2, W Q, W, g."""
    cdef const Py_ssize_t[::1] first = entries.first, second = entries.second
    cdef const double[::1] own = u[0], other = u[1]
    cdef Py_ssize_t n = W.shape[0], p = Q.shape[1], i, a
    found = np.zeros((own.shape[0], p + 4)), np.zeros((other.shape[0], p + 4))
    cdef double[:, ::1] A = found[0], B = found[1]
    cdef double* x
    cdef double* y
    cdef const double* row
    cdef double w, v
    with nogil:
        for i in range(n):
            x, y, w, row = &A[first[i], 0], &B[second[i], 0], W[i], &Q[i, 0] if p else NULL
            v = w * own[first[i]]
            x[0] += v
            y[0] += v
            v = w * other[second[i]]
            x[1] += v
            y[1] += v
            for a in range(p):
                v = w * row[a]
                x[2 + a] += v
                y[2 + a] += v
            x[2 + p] += w
            y[2 + p] += w
            x[3 + p] += g[i]
            y[3 + p] += g[i]
    return found


cdef struct Pass:
    # A pass over the levels of the first factor, some at a time: the parameters, fixed effects and rows of the
    # tail; the levels and entries of the stretch; of its entries N, M and N G for every parameter, and W; of
    # its levels r for every parameter; rows and what they are multiplied with;
    # the inverse between the entries of a level.
    int m, p, n_tail
    Py_ssize_t begin, end, at, size
    double s, t
    double* N
    double* M
    double* NG
    double* W
    double* r
    double* rows
    double* weighted
    double* block


def movement_products(
    entries, const double[:, ::1] Q, effects, rows, adjoint, const double[::1] root, const double[::1] C, scales,
    inverse,
):
    """Return products of the rows, what moves of the eliminated part of Omega, and of its complement."""
    cdef const Py_ssize_t[::1] starts = entries.starts, row_starts = entries.row_starts
    cdef const Py_ssize_t[::1] tail_rows = entries.tail_rows
    cdef Pass x
    cdef Py_ssize_t most, levels, a
    x.m, x.p, x.n_tail, x.s, x.t = effects[0].shape[1], Q.shape[1], entries.n_tail, scales[0], scales[1]
    most = max(entries.most_entries, MOST_ENTRIES)
    room = np.empty((3 * x.m + 1) * most + x.m * (most + 1) + STRETCH * (2 * x.m + 2) + entries.most_entries**2)
    gram, through, complement = np.zeros((x.m + 2, x.m)), np.zeros((x.m, x.m)), np.zeros((x.m, x.n_tail, x.n_tail))
    tail = np.zeros((x.m, x.n_tail))
    cdef double[::1] w = room
    cdef double[:, ::1] H = gram, K = through, T = tail
    cdef double[:, :, ::1] S = complement
    cdef bint is_dense = entries.is_dense
    cdef Rows of_rows = Rows(entries, Q, effects, rows, adjoint)
    cdef const double[::1] between = inverse[0]
    cdef double[:, ::1] G = inverse[1]
    cdef double together = 0.0
    x.N = &w[0]
    x.M, x.NG, x.W = x.N + x.m * most, x.N + 2 * x.m * most, x.N + 3 * x.m * most
    x.r = x.W + most
    x.rows = x.r + x.m * (most + 1)
    x.weighted = x.rows + STRETCH * x.m
    x.block = x.weighted + STRETCH * (x.m + 2)
    x.begin, levels = 0, root.shape[0]
    with nogil:
        while x.begin < levels:
            x.end, x.at = x.begin + 1, starts[x.begin]
            while x.end < levels and x.end - x.begin < most and starts[x.end + 1] - x.at <= MOST_ENTRIES:
                x.end += 1
            x.size = starts[x.end] - x.at
            if not x.size:
                x.begin = x.end
                continue
            of_rows.add(&x, row_starts[x.begin], row_starts[x.end], &H[0, 0])
            for a in range(x.size):
                together += x.W[a] * between[x.at + a]
            for a in range(x.m):
                move_levels(&x, a, starts, tail_rows, root, C, &T[a, 0], is_dense)
            add_complement(&x, starts, tail_rows, C, S, is_dense)
            add_through(&x, starts, tail_rows, G, K, is_dense)
            x.begin = x.end
        for a in range(x.m):
            make_symmetric(S[a], &T[a, 0])
            for levels in range(a):
                H[levels, a] = H[a, levels]
    return gram[: x.m], gram[x.m :], through, complement, together


cdef class Rows:
    """The rows of the data, sorted by level of the first factor."""
    cdef const Py_ssize_t[::1] order, first, second, entry
    cdef const double[:, ::1] Q, A, B, effects
    cdef const double[::1] W, slope, curving, leverage, v, adjoint, other_adjoint

    def __init__(self, entries, Q, effects, at, adjoint):
        self.order, self.first, self.second, self.entry = entries.order, entries.first, entries.second, entries.entry
        self.Q, self.A, self.B = Q, effects[0], effects[1]
        self.W, self.slope, self.curving, self.leverage, self.v, self.effects = at
        self.adjoint, self.other_adjoint = adjoint

    cdef void add(self, Pass* x, Py_ssize_t begin, Py_ssize_t end, double* H) noexcept nogil:
        """Add the products of rows, and set N and W to sums of them by entry."""
        cdef Py_ssize_t k = begin, j, size, m = x.m
        memset(x.N, 0, m * x.size * sizeof(double))
        memset(x.W, 0, x.size * sizeof(double))
        while k < end:
            size = min(STRETCH, end - k)
            for j in range(size):
                self.set_row(x, self.order[k + j], j)
            add_row_products(size, m, x.rows, x.weighted, H)
            k += size

    cdef void set_row(self, Pass* x, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
        """Set one row of E, and what it is multiplied with; add it to its entry."""
        cdef Py_ssize_t a, f = self.first[i], g = self.second[i], e = self.entry[i] - x.at, m = x.m
        cdef double W = self.W[i], slope = self.slope[i], value
        cdef double weight = 2.0 * W + self.leverage[i] * self.curving[i] - self.v[i] * slope
        cdef const double* A = &self.A[f, 0]
        cdef const double* B = &self.B[g, 0]
        cdef const double* Q = &self.Q[i, 0] - 2 if m > 2 else NULL
        cdef double* own = x.rows + j
        cdef double* weighted = x.weighted + j
        cdef double* N = x.N + e
        for a in range(m):
            value = A[a] + B[a] + (Q[a] if a >= 2 else 0.0)
            own[a * STRETCH] = value
            weighted[a * STRETCH] = weight * value
            N[a * x.size] += slope * value
        weighted[m * STRETCH] = 2.0 * slope * self.effects[0, i] - W * self.adjoint[f]
        weighted[(m + 1) * STRETCH] = 2.0 * slope * self.effects[1, i] - W * self.other_adjoint[g]
        x.W[e] += W


cdef void move_levels(
    Pass* x, Py_ssize_t a, const Py_ssize_t[::1] starts, const Py_ssize_t[::1] tail_rows,
    const double[::1] root, const double[::1] C, double* tail, bint is_dense,
) noexcept nogil:
    """Set N, M and r of one parameter, and add to the movement of the tail."""
    cdef Py_ssize_t l, n, at
    cdef double* N = x.N + a * x.size - x.at
    cdef double* M = x.M + a * x.size - x.at
    cdef const double* W = x.W - x.at
    cdef double ss = x.s * x.s, tt = x.t * x.t, st = x.s * x.t, own = x.t if a == 0 else (x.s if a == 1 else 0.0)
    cdef double inner = 2.0 * x.s if a == 0 else 0.0, outer = 2.0 * x.t if a == 1 else 0.0, r
    for l in range(x.begin, x.end):
        at, n = starts[l], starts[l + 1] - starts[l]
        if not n:
            x.r[a * (x.end - x.begin) + l - x.begin] = 0.0
            continue
        r = move_pivot(n, tt, outer, ss, inner, N + at, W + at, NULL if is_dense else &tail_rows[at], tail)
        r *= root[l] * root[l]
        x.r[a * (x.end - x.begin) + l - x.begin] = r
        move_entries(n, st * root[l], own * root[l], r, &C[at], W + at, N + at, M + at)


cdef void add_complement(
    Pass* x, const Py_ssize_t[::1] starts, const Py_ssize_t[::1] tail_rows, const double[::1] C,
    double[:, :, ::1] S, bint is_dense,
) noexcept nogil:
    """Add C'M for every parameter."""
    cdef Py_ssize_t a, l, e, f
    cdef int levels = <int> (x.end - x.begin), n_tail = x.n_tail
    cdef double* M
    cdef double* row
    cdef double c, d
    for a in range(x.m):
        M = x.M + a * x.size
        if is_dense:
            dgemm(
                "N", "T", &n_tail, &n_tail, &levels, &one, M, &n_tail, <double*> &C[x.at], &n_tail, &one,
                &S[a, 0, 0], &n_tail,
            )
            continue
        M -= x.at
        # Half of what is added to its transpose in the end: entries are sorted by tail row.
        for l in range(x.begin, x.end):
            for e in range(starts[l], starts[l + 1]):
                row, c, d = &S[a, tail_rows[e], 0], C[e], M[e]
                for f in range(starts[l], e):
                    row[tail_rows[f]] += c * M[f] + d * C[f]
                row[tail_rows[e]] += c * d


cdef void add_through(
    Pass* x, const Py_ssize_t[::1] starts, const Py_ssize_t[::1] tail_rows, double[:, ::1] G,
    double[:, ::1] K, bint is_dense,
) noexcept nogil:
    """Add ``r r' + 2 N G N'``."""
    cdef Py_ssize_t l, e, f
    cdef int levels = <int> (x.end - x.begin), rows = <int> (x.m * (x.end - x.begin)), n_tail = x.n_tail
    cdef int size = <int> x.size, known
    cdef const double* row
    if is_dense:
        dgemm("N", "N", &n_tail, &rows, &n_tail, &one, &G[0, 0], &n_tail, x.N, &n_tail, &zero, x.NG, &n_tail)
    else:
        for l in range(x.begin, x.end):
            known = <int> (starts[l + 1] - starts[l])
            if not known:
                continue
            for e in range(known):
                row = &G[tail_rows[starts[l] + e], 0]
                for f in range(known):
                    x.block[e * known + f] = row[tail_rows[starts[l] + f]]
            e = starts[l] - x.at
            dgemm("N", "N", &known, &x.m, &known, &one, x.block, &known, x.N + e, &size, &zero, x.NG + e, &size)
    dgemm("T", "N", &x.m, &x.m, &levels, &one, x.r, &levels, x.r, &levels, &one, &K[0, 0], &x.m)
    dgemm("T", "N", &x.m, &x.m, &size, &two, x.NG, &size, x.N, &size, &one, &K[0, 0], &x.m)


cdef void make_symmetric(double[:, ::1] S, const double* diagonal) noexcept nogil:
    """Replace a matrix by a diagonal one minus it and its transpose."""
    cdef Py_ssize_t i, j
    for i in range(S.shape[0]):
        for j in range(i + 1):
            S[i, j] = S[j, i] = -(S[i, j] + S[j, i])
        S[i, i] += diagonal[i]
