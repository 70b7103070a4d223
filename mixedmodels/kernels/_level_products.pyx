# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of mixedmodels/kernels/level_products.py; see there."""

from libc.math cimport log, sqrt
from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free, malloc

import numpy as np

cdef enum:
    # Columns of a term, as level_products.MAX_COLUMNS, and fixed effects, as level_products.MAX_FIXED.
    MAX_Z = 8
    MAX_X = 16

ctypedef double Small[MAX_X][MAX_X]


cdef struct Columns:
    # Columns of a matrix: the first number, how far it is to the next row and column, and how many there are.
    const double* first
    Py_ssize_t down, across, n


cdef Columns columns_of(const double[:, :] A) noexcept:
    cdef Columns found
    found.first, found.n = (&A[0, 0] if A.shape[0] and A.shape[1] else NULL), A.shape[1]
    found.down, found.across = A.strides[0] // sizeof(double), A.strides[1] // sizeof(double)
    return found


cdef void add_products(
    const int32_t* codes, Py_ssize_t n, Py_ssize_t q, Columns Z, Columns X, double* faces, double* cross
) noexcept nogil:
    """Add Z'Z and X'Z by level."""
    cdef Py_ssize_t r, i, j, k, level, S = Z.n
    cdef const double* z
    cdef double own
    for i in range(S):
        for r in range(n):
            level, z = codes[r], Z.first + r * Z.down
            own = z[i * Z.across]
            for j in range(i + 1):
                faces[(i * S + j) * q + level] += own * z[j * Z.across]
            for k in range(X.n):
                cross[(k * S + i) * q + level] += X.first[r * X.down + k * X.across] * own
    for i in range(S):
        for j in range(i):
            for level in range(q):
                faces[(j * S + i) * q + level] = faces[(i * S + j) * q + level]


def level_products(const int32_t[::1] codes, Py_ssize_t q, const double[:, :] Z, const double[:, :] X):
    cdef Py_ssize_t n = Z.shape[0], S = Z.shape[1], p = X.shape[1]
    cdef double[:, :, ::1] faces = np.zeros((S, S, q)), cross = np.zeros((p, S, q))
    if n and S and q:
        add_products(&codes[0], n, q, columns_of(Z), columns_of(X), &faces[0, 0, 0], &cross[0, 0, 0] if p else NULL)
    return faces.base, cross.base


def count_present(const int32_t[:] codes, Py_ssize_t q):
    cdef Py_ssize_t r, found = 0
    cdef char* present = <char*> calloc(q + 1, 1)
    if present == NULL:
        raise MemoryError()
    for r in range(codes.shape[0]):
        if codes[r] >= 0:
            found += not present[codes[r]]
            present[codes[r]] = True
    free(present)
    return found


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


cdef bint factor_reversed(const Small gram, Py_ssize_t S, double least, Small C, Small inverse) noexcept nogil:
    """Set C, lower triangular with ``C'C = gram``, and its inverse; False where a pivot is no larger than least."""
    cdef Py_ssize_t i, j, k
    cdef double t
    cdef double[MAX_X] scale
    for i in range(S):
        if not gram[i][i] > 0.0:
            return False
        scale[i] = sqrt(gram[i][i])
    # From the last column to the first.
    for j in range(S - 1, -1, -1):
        for i in range(j, -1, -1):
            t = gram[j][i] / (scale[i] * scale[j])
            for k in range(j + 1, S):
                t -= C[k][j] * C[k][i]
            if i < j:
                C[j][i] = t / C[j][j]
            elif t > least * least:
                C[j][j] = sqrt(t)
            else:
                return False
    for i in range(S):
        for j in range(i + 1):
            C[i][j] *= scale[j]
    for j in range(S):
        for i in range(j, S):
            t = 1.0 if i == j else 0.0
            for k in range(j, i):
                t -= C[i][k] * inverse[k][j]
            inverse[i][j] = t / C[i][i]
    return True


cdef void put_lower(const Small A, Py_ssize_t S, double[:, ::1] out) noexcept nogil:
    """Put the lower triangle of A where it is to go, whose upper one is zero."""
    cdef Py_ssize_t i, j
    for i in range(S):
        for j in range(i + 1):
            out[i, j] = A[i][j]


def reversed_cholesky(const double[:, :] gram, double least):
    cdef Py_ssize_t S = gram.shape[0], i, j
    cdef Small A, C, inverse
    for i in range(S):
        for j in range(S):
            A[i][j] = gram[i, j]
    if not factor_reversed(A, S, least, C, inverse):
        return None
    cdef double[:, ::1] out = np.zeros((S, S)), back = np.zeros((S, S))
    put_lower(C, S, out)
    put_lower(inverse, S, back)
    return out.base, back.base


cdef double dot(const double* a, Py_ssize_t a_step, const double* b, Py_ssize_t b_step, Py_ssize_t n) noexcept nogil:
    """Return the product of two columns by four sums side by side."""
    cdef Py_ssize_t r
    cdef double t = 0.0, u = 0.0, v = 0.0, w = 0.0
    for r in range(0, n - 3, 4):
        t += a[r * a_step] * b[r * b_step]
        u += a[(r + 1) * a_step] * b[(r + 1) * b_step]
        v += a[(r + 2) * a_step] * b[(r + 2) * b_step]
        w += a[(r + 3) * a_step] * b[(r + 3) * b_step]
    for r in range(n - n % 4, n):
        t += a[r * a_step] * b[r * b_step]
    return (t + u) + (v + w)


cdef void products(Columns A, Py_ssize_t n, double divisor, Small gram) noexcept nogil:
    """Set the products of columns, divided."""
    cdef Py_ssize_t i, j
    for i in range(A.n):
        for j in range(i + 1):
            gram[i][j] = dot(A.first + i * A.across, A.down, A.first + j * A.across, A.down, n) / divisor
            gram[j][i] = gram[i][j]


cdef bint factor_unit(const Small gram, Py_ssize_t p, double least, double* scale, Small R) noexcept nogil:
    """Set R, upper triangular with ``R'R`` the products of columns scaled to unit length; False as above."""
    cdef Py_ssize_t i, j, k
    cdef double t
    for i in range(p):
        scale[i] = sqrt(gram[i][i])
        if not scale[i] > 0.0:
            return False
    for i in range(p):
        for j in range(i, p):
            t = gram[i][j] / (scale[i] * scale[j])
            for k in range(i):
                t -= R[k][i] * R[k][j]
            if j > i:
                R[i][j] = t / R[i][i]
            elif t > least * least:
                R[i][i] = sqrt(t)
            else:
                return False
    return True


cdef bint orthonormalize(const Small gram, Py_ssize_t p, double least, Small R_inverse, double* log_det) noexcept nogil:
    """Set the inverse of R, upper triangular with ``R'R = gram``, and ``log|R|^2``; False as above."""
    cdef Py_ssize_t i, j, k
    cdef double t
    cdef double[MAX_X] scale
    cdef Small R
    if not factor_unit(gram, p, least, scale, R):
        return False
    log_det[0] = 0.0
    for i in range(p):
        log_det[0] += 2.0 * log(R[i][i] * scale[i])
    for j in range(p):
        for i in range(j, -1, -1):
            t = 1.0 if i == j else 0.0
            for k in range(i + 1, j + 1):
                t -= R[i][k] * R_inverse[k][j]
            R_inverse[i][j] = t / R[i][i]
    for i in range(p):
        for j in range(i, p):
            R_inverse[i][j] /= scale[i]
    return True


def unit_cholesky(const double[:, :] X):
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1], i, j
    cdef Small gram, R
    cdef double[MAX_X] scale
    products(columns_of(X), n, 1.0, gram)
    cdef double[::1] lengths = np.empty(p)
    for i in range(p):
        lengths[i] = sqrt(gram[i][i])
    if not factor_unit(gram, p, 0.0, scale, R):
        return lengths.base, None
    cdef double[:, ::1] root = np.zeros((p, p))
    for i in range(p):
        for j in range(i, p):
            root[i, j] = R[i][j]
    return lengths.base, root.base


cdef void project(Columns X, const Small R_inverse, const double* e, Py_ssize_t n, double* out) noexcept nogil:
    """Set ``Q'e``."""
    cdef Py_ssize_t a, b
    cdef double[MAX_X] cross
    for a in range(X.n):
        cross[a] = dot(X.first + a * X.across, X.down, e, 1, n)
        out[a] = 0.0
        for b in range(a + 1):
            out[a] += R_inverse[b][a] * cross[b]


cdef void take_out(Columns X, const Small R_inverse, const double* projection, double* e, Py_ssize_t n) noexcept nogil:
    """Take ``Q projection`` out of e."""
    cdef Py_ssize_t a, b, r
    cdef const double* x
    cdef double beta
    for a in range(X.n):
        beta, x = 0.0, X.first + a * X.across
        for b in range(a, X.n):
            beta += R_inverse[a][b] * projection[b]
        for r in range(n):
            e[r] -= beta * x[r * X.down]


cdef void rotate(const Small R_inverse, Py_ssize_t p, Py_ssize_t m, double* rows) noexcept nogil:
    """Overwrite ``X'A``, shape (p, m), by ``Q'A``."""
    cdef Py_ssize_t a, b, l
    for a in range(p - 1, -1, -1):
        for l in range(m):
            rows[a * m + l] *= R_inverse[a][a]
            for b in range(a):
                rows[a * m + l] += R_inverse[b][a] * rows[b * m + l]


cdef void rotate_both(const Small R_inverse, Py_ssize_t p, double* A) noexcept nogil:
    """Overwrite a symmetric A by ``R^-T A R^-1``."""
    cdef Py_ssize_t i, j
    for _ in range(2):
        rotate(R_inverse, p, p, A)
        for i in range(p):
            for j in range(i):
                A[i * p + j], A[j * p + i] = A[j * p + i], A[i * p + j]


cdef void change_columns(Columns Z, const Small inverse, Py_ssize_t n, double* Q) noexcept nogil:
    """Set the columns of ``Z C^-1`` one after the other."""
    cdef Py_ssize_t i, k, r
    for i in range(Z.n):
        for r in range(n):
            Q[i * n + r] = Z.first[r * Z.down + i * Z.across] * inverse[i][i]
        for k in range(i + 1, Z.n):
            for r in range(n):
                Q[i * n + r] += Z.first[r * Z.down + k * Z.across] * inverse[k][i]


cdef double take_response(
    Columns X, const Small R_inverse, Columns Q, const int32_t* codes, Py_ssize_t q, Py_ssize_t n,
    double* e, double[:, ::1] fixed, double[:, ::1] Ze,
) noexcept nogil:
    """Overwrite a response by its least-squares residual and return the sum of squares of that.

    The rows of `fixed` become the projection and what is left of it in the residual, ``Q'e``.
    """
    cdef Py_ssize_t a, i, r
    cdef double[MAX_X] correction
    project(X, R_inverse, e, n, &fixed[0, 0])
    take_out(X, R_inverse, &fixed[0, 0], e, n)
    # A second pass removes what rounding left of the fixed effects in the residual of a large mean.
    project(X, R_inverse, e, n, correction)
    take_out(X, R_inverse, correction, e, n)
    project(X, R_inverse, e, n, &fixed[1, 0])
    for a in range(X.n):
        fixed[0, a] += correction[a]
    for i in range(Q.n):
        for r in range(n):
            Ze[i, codes[r]] += Q.first[r * Q.down + i * Q.across] * e[r]
    return dot(e, 1, e, 1, n)


def plain_rows(
    const double[:] y,
    const double[:, :] X,
    const double[:, :] Z,
    const int32_t[::1] codes,
    Py_ssize_t q,
    double least_fixed,
    double least_own,
):
    cdef Py_ssize_t n = y.shape[0], p = X.shape[1], S = Z.shape[1], i, j, k
    cdef Small gram, R_inverse, own, C, inverse
    cdef Columns fixed_columns = columns_of(X), Z_columns = columns_of(Z), Q_columns
    cdef double log_det, rss, total
    products(fixed_columns, n, 1.0, gram)
    products(Z_columns, n, n, own)
    if not orthonormalize(gram, p, least_fixed, R_inverse, &log_det):
        return None
    if not factor_reversed(own, S, least_own, C, inverse):
        return None
    cdef double[:, ::1] Q = np.empty((S, n)), root = np.zeros((p, p)), XX = np.empty((p, p))
    cdef double[:, ::1] basis = np.zeros((S, S)), back = np.zeros((S, S)), Ze = np.zeros((S, q)), fixed = np.empty((2, p))
    cdef double[:, :, ::1] faces = np.zeros((S, S, q)), XZ = np.zeros((p, S, q))
    cdef double[::1] scales = np.empty(S)
    cdef double* e = <double*> malloc(n * sizeof(double))
    if e == NULL:
        raise MemoryError()
    with nogil:
        change_columns(Z_columns, inverse, n, &Q[0, 0])
        Q_columns.first, Q_columns.down, Q_columns.across, Q_columns.n = &Q[0, 0], 1, n, S
        add_products(&codes[0], n, q, Q_columns, fixed_columns, &faces[0, 0, 0], &XZ[0, 0, 0])
        rotate(R_inverse, p, S * q, &XZ[0, 0, 0])
        for i in range(n):
            e[i] = y[i]
        total = dot(e, 1, e, 1, n)
        rss = take_response(fixed_columns, R_inverse, Q_columns, &codes[0], q, n, e, fixed, Ze)
        free(e)
        for i in range(p):
            for j in range(p):
                root[i, j] = R_inverse[i][j] if j >= i else 0.0
                XX[i, j] = gram[i][j]
        rotate_both(R_inverse, p, &XX[0, 0])
        put_lower(C, S, basis)
        put_lower(inverse, S, back)
        for i in range(S):
            scales[i] = 1.0 / sqrt(own[i][i])
    return (
        root.base, log_det, XX.base, basis.base, back.base, scales.base, Q.base,
        faces.base, XZ.base, Ze.base, fixed.base, rss, total,
    )
