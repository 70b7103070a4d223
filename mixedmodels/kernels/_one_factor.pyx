# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twin of mixedmodels/kernels/one_factor.py; see there.

Levels are taken eight at a time, one in each lane: every operation is a loop over lanes, which compilers turn
into vector instructions and whose chains of square roots and divisions overlap. Lanes without a level hold
zeros, so that D = I there and nothing is added to any sum.
"""

from libc.math cimport NAN, isnan, log, sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import numpy as np

# Pivots are at least 1; their product is put into the logarithm before it overflows.
cdef double LARGE = 1e100
# As in mixedmodels/engines/linear/gradient.py.
cdef double SINGULAR = 1e-6

ctypedef double Lanes[LANES]


cdef struct Sums:
    # Sums over levels, one part in each lane.
    double product[LANES]
    double log_det
    double information[MAX_S][LANES]
    double schur[MAX_C][MAX_C][LANES]
    double shares[MAX_PAIRS][LANES]
    double second[MAX_PAIRS][LANES]
    double pairs[MAX_PAIRS][MAX_PAIRS][LANES]
    double direct[MAX_S][MAX_S][LANES]


cdef inline void load(double* lanes, const double* values, Py_ssize_t n) noexcept nogil:
    """Read n levels; the other lanes become zero."""
    cdef Py_ssize_t w
    if n == LANES:
        for w in range(LANES):
            lanes[w] = values[w]
        return
    for w in range(LANES):
        lanes[w] = values[w] if w < n else 0.0


cdef inline void add(double* t, double c, const double* a) noexcept nogil:
    cdef Py_ssize_t w
    for w in range(LANES):
        t[w] += c * a[w]


cdef inline void add_product(double* t, const double* a, const double* b) noexcept nogil:
    cdef Py_ssize_t w
    for w in range(LANES):
        t[w] += a[w] * b[w]


cdef inline void subtract_product(double* t, const double* a, const double* b) noexcept nogil:
    cdef Py_ssize_t w
    for w in range(LANES):
        t[w] -= a[w] * b[w]


cdef inline double total(const double* lanes) noexcept nogil:
    cdef Py_ssize_t w
    cdef double t = 0.0
    for w in range(LANES):
        t += lanes[w]
    return t


cdef void load_faces(const Model* m, Py_ssize_t start, Py_ssize_t n, double (*A)[MAX_S][LANES]) noexcept nogil:
    """Read ``Z_l'WZ_l``, both halves."""
    cdef Py_ssize_t i, j
    for i in range(m.S):
        for j in range(i + 1):
            load(A[i][j], m.faces + (i * m.S + j) * m.q + start, n)
            if j < i:
                memcpy(A[j][i], A[i][j], sizeof(Lanes))


cdef void penalize(const Model* m, double (*A)[MAX_S][LANES], double (*D)[MAX_S][LANES]) noexcept nogil:
    """Set the lower triangle of ``D = T'AT + I``."""
    cdef Py_ssize_t i, j, k, w, S = m.S
    cdef double[LANES] t
    cdef double[MAX_S][MAX_S][LANES] AT
    for k in range(S):
        for j in range(k + 1):
            memset(t, 0, sizeof(Lanes))
            for i in range(j, S):
                add(t, m.T[i * S + j], A[k][i])
            memcpy(AT[k][j], t, sizeof(Lanes))
    for i in range(S):
        for j in range(i + 1):
            for w in range(LANES):
                t[w] = 1.0 if i == j else 0.0
            for k in range(i, S):
                add(t, m.T[k * S + i], AT[k][j])
            memcpy(D[i][j], t, sizeof(Lanes))


cdef void invert_root(Py_ssize_t S, double (*D)[MAX_S][LANES], double (*K)[MAX_S][LANES], Sums* sums) noexcept nogil:
    """Overwrite D with its Cholesky factor L, set ``K = L^-1`` and multiply the pivots."""
    cdef Py_ssize_t i, j, k, w
    cdef double largest
    cdef double[LANES] t
    for j in range(S):
        memcpy(t, D[j][j], sizeof(Lanes))
        for k in range(j):
            subtract_product(t, D[j][k], D[j][k])
        largest = 0.0
        for w in range(LANES):
            sums.product[w] *= t[w]
            K[j][j][w] = 1.0 / sqrt(t[w])
        for w in range(LANES):
            largest = max(largest, sums.product[w])
        if not largest < LARGE:
            flush(sums)
        for i in range(j + 1, S):
            memcpy(t, D[i][j], sizeof(Lanes))
            for k in range(j):
                subtract_product(t, D[i][k], D[j][k])
            for w in range(LANES):
                D[i][j][w] = t[w] * K[j][j][w]
    for j in range(S):
        for i in range(j + 1, S):
            memset(t, 0, sizeof(Lanes))
            for k in range(j, i):
                subtract_product(t, D[i][k], K[k][j])
            for w in range(LANES):
                K[i][j][w] = t[w] * K[i][i][w]


cdef void flush(Sums* sums) noexcept nogil:
    cdef Py_ssize_t w
    for w in range(LANES):
        sums.log_det += log(sums.product[w])
        sums.product[w] = 1.0


cdef void eliminate(const Model* m, Py_ssize_t chunk, double* work, Sums* sums) noexcept nogil:
    """Factor eight levels, add to the Schur complement and keep ``K`` and ``K T'[X r]`` for later."""
    cdef Py_ssize_t a, b, i, k, S = m.S, start = chunk * LANES, n = min(LANES, m.q - start)
    cdef double[MAX_S][MAX_S][LANES] A
    cdef double[MAX_S][MAX_S][LANES] D
    cdef double[MAX_S][MAX_S][LANES] K
    cdef double[MAX_C][MAX_S][LANES] half
    cdef double[LANES] t
    load_faces(m, start, n, A)
    for i in range(S):
        add(sums.information[i], 1.0, A[i][i])
    penalize(m, A, D)
    invert_root(S, D, K, sums)
    for a in range(m.p + 1):
        # D is free again: its first row takes the column, its second T' times the column.
        for i in range(S):
            load(A[0][i], (m.XZ + a * S * m.q if a < m.p else m.r) + i * m.q + start, n)
        for i in range(S):
            memset(t, 0, sizeof(Lanes))
            for k in range(i, S):
                add(t, m.T[k * S + i], A[0][k])
            memcpy(D[0][i], t, sizeof(Lanes))
        for i in range(S):
            memset(t, 0, sizeof(Lanes))
            for k in range(i + 1):
                add_product(t, K[i][k], D[0][k])
            memcpy(half[a][i], t, sizeof(Lanes))
        for b in range(a + 1):
            memcpy(t, sums.schur[a][b], sizeof(Lanes))
            for i in range(S):
                add_product(t, half[a][i], half[b][i])
            memcpy(sums.schur[a][b], t, sizeof(Lanes))
    for i in range(S):
        memcpy(work, K[i], (i + 1) * sizeof(Lanes))
        work += (i + 1) * LANES
    for a in range(m.p + 1):
        memcpy(work, half[a], S * sizeof(Lanes))
        work += S * LANES


cdef double factor_border(double* root, Py_ssize_t p) noexcept nogil:
    """Overwrite the border with its Cholesky factor, the last pivot left squared; NaN if it has none.

    Returns the log-determinant of the fixed part.
    """
    cdef Py_ssize_t i, j, k
    cdef double t, log_det = 0.0
    for i in range(p + 1):
        for j in range(i + 1):
            t = root[i * (p + 1) + j]
            for k in range(j):
                t -= root[i * (p + 1) + k] * root[j * (p + 1) + k]
            if j < i:
                root[i * (p + 1) + j] = t / root[j * (p + 1) + j]
            elif not t > 0.0:
                return NAN
            elif i < p:
                root[i * (p + 1) + i] = sqrt(t)
                log_det += log(t)
            else:
                root[i * (p + 1) + i] = t
    return log_det


cdef void substitute(Py_ssize_t S, Py_ssize_t p, double* root, double (*rows)[MAX_S][LANES]) noexcept nogil:
    """Divide the rows by the root of the fixed part: the last row becomes what they leave of the response."""
    cdef Py_ssize_t a, b, i, w
    cdef double scale
    cdef double[LANES] t
    for a in range(p + 1):
        scale = 1.0 / root[a * (p + 1) + a] if a < p else 1.0
        for i in range(S):
            memcpy(t, rows[a][i], sizeof(Lanes))
            for b in range(a):
                add(t, -root[a * (p + 1) + b], rows[b][i])
            for w in range(LANES):
                rows[a][i][w] = t[w] * scale


cdef void differentiate(
    const Model* m, Py_ssize_t chunk, const double* work, double* root, bint fixed_effects, bint singular,
    double sigma2, double* u, Sums* sums,
) noexcept nogil:
    """Add the moments of eight levels and set their effects."""
    cdef Py_ssize_t a, i, j, k, w, pair, other, S = m.S, start = chunk * LANES, n = min(LANES, m.q - start)
    cdef double[MAX_S][MAX_S][LANES] K
    cdef double[MAX_S][MAX_S][LANES] V
    cdef double[MAX_C][MAX_S][LANES] rows
    cdef double[MAX_PAIRS][LANES] share
    cdef double[LANES] t
    for i in range(S):
        memcpy(K[i], work, (i + 1) * sizeof(Lanes))
        work += (i + 1) * LANES
    for a in range(m.p + 1):
        memcpy(rows[a], work, S * sizeof(Lanes))
        work += S * LANES
    substitute(S, m.p, root, rows)
    # Rows become those of X, and of the response, times W = T D^-1; the last one is u.
    for a in range(m.p + 1):
        for i in range(S):
            memset(t, 0, sizeof(Lanes))
            for k in range(i, S):
                add_product(t, K[k][i], rows[a][k])
            memcpy(rows[a][i], t, sizeof(Lanes))
    for i in range(S):
        for w in range(n):
            u[i * m.q + start + w] = rows[m.p][i][w]
    pair = 0
    for i in range(S):
        for j in range(i + 1):
            memset(t, 0, sizeof(Lanes))
            for k in range(i, S):
                add_product(t, K[k][i], K[k][j])
            if fixed_effects:
                for a in range(m.p):
                    add_product(t, rows[a][i], rows[a][j])
            memcpy(V[i][j], t, sizeof(Lanes))
            memcpy(V[j][i], t, sizeof(Lanes))
            for w in range(LANES):
                share[pair][w] = (1.0 if i == j else 0.0) - t[w]
            add(sums.shares[pair], 1.0, share[pair])
            add_product(sums.second[pair], rows[m.p][i], rows[m.p][j])
            for other in range(pair + 1):
                add_product(sums.pairs[pair][other], share[pair], share[other])
            pair += 1
    if singular:
        add_direct(m, start, n, root, fixed_effects, sigma2, V, rows, sums)


cdef void add_direct(
    const Model* m, Py_ssize_t start, Py_ssize_t n, double* root, bint fixed_effects, double sigma2,
    double (*V)[MAX_S][LANES], double (*rows)[MAX_S][LANES], Sums* sums,
) noexcept nogil:
    """Add ``A T V - X'V_X X W - score u' / sigma^2`` of eight levels."""
    cdef Py_ssize_t a, i, j, k, w, S = m.S, p = m.p
    cdef double[MAX_S][MAX_S][LANES] A
    cdef double[MAX_S][MAX_S][LANES] TV
    cdef double[MAX_C][MAX_S][LANES] raw
    cdef double[LANES] t
    load_faces(m, start, n, A)
    for a in range(p + 1):
        for i in range(S):
            load(raw[a][i], (m.XZ + a * S * m.q if a < p else m.r) + i * m.q + start, n)
    substitute(S, p, root, raw)
    for i in range(S):
        for j in range(S):
            memset(t, 0, sizeof(Lanes))
            for k in range(i + 1):
                add(t, m.T[i * S + k], V[k][j])
            memcpy(TV[i][j], t, sizeof(Lanes))
    # The last row of `raw` becomes the score, s - A T u.
    for k in range(S):
        memset(t, 0, sizeof(Lanes))
        for j in range(k + 1):
            add(t, m.T[k * S + j], rows[p][j])
        for i in range(S):
            subtract_product(raw[p][i], A[i][k], t)
    for i in range(S):
        for j in range(S):
            memset(t, 0, sizeof(Lanes))
            for k in range(S):
                add_product(t, A[i][k], TV[k][j])
            if fixed_effects:
                for a in range(p):
                    subtract_product(t, raw[a][i], rows[a][j])
            for w in range(LANES):
                t[w] -= raw[p][i][w] * rows[p][j][w] / sigma2
            add(sums.direct[i][j], 1.0, t)


cdef void clear(Sums* sums, Py_ssize_t S, Py_ssize_t p) noexcept nogil:
    """Set to zero what will be added to."""
    cdef Py_ssize_t i, n_pairs = S * (S + 1) // 2
    for i in range(LANES):
        sums.product[i] = 1.0
    sums.log_det = 0.0
    for i in range(S):
        memset(sums.information[i], 0, sizeof(Lanes))
        memset(sums.direct[i], 0, S * sizeof(Lanes))
    for i in range(p + 1):
        memset(sums.schur[i], 0, (i + 1) * sizeof(Lanes))
    for i in range(n_pairs):
        memset(sums.shares[i], 0, sizeof(Lanes))
        memset(sums.second[i], 0, sizeof(Lanes))
        memset(sums.pairs[i], 0, (i + 1) * sizeof(Lanes))


cdef bint is_singular(const Model* m, const Sums* sums) noexcept nogil:
    """Tell whether T, its rows on the scale of the data, is too close to singular to divide by."""
    cdef Py_ssize_t i, j, k, S = m.S
    cdef double t, size = 0.0, inverse_size = 0.0
    cdef double[MAX_S] scale
    cdef double[MAX_S][MAX_S] inverse
    for i in range(S):
        scale[i] = sqrt(total(sums.information[i]) / m.q)
        if m.T[i * S + i] == 0.0 or scale[i] == 0.0:
            return True
        for j in range(i + 1):
            t = 1.0 if i == j else 0.0
            for k in range(j, i):
                t -= scale[i] * m.T[i * S + k] * inverse[k][j]
            inverse[i][j] = t / (scale[i] * m.T[i * S + i])
            inverse_size += inverse[i][j] ** 2
            size += (scale[i] * m.T[i * S + j]) ** 2
    # Frobenius norms stand for the extreme singular values.
    return size < SINGULAR * SINGULAR * inverse_size


cdef void gather(
    const Model* m, const Sums* sums, bint singular, double sigma2, double least_share,
    double* gamma, double* gradient, double* pairs,
) noexcept nogil:
    """Add up the lanes and form the gradient."""
    cdef Py_ssize_t i, j, k, pair = 0, other, S = m.S, n_pairs = S * (S + 1) // 2
    cdef double t, keep = 1.0 - least_share
    cdef double[MAX_PAIRS] share
    cdef double[MAX_PAIRS] prior
    for i in range(S):
        for j in range(i + 1):
            share[pair] = total(sums.shares[pair])
            prior[pair] = least_share if i == j else 0.0
            gamma[i * S + j] = gamma[j * S + i] = share[pair] - total(sums.second[pair]) / sigma2
            for other in range(pair + 1):
                # (keep a + prior)(keep b + prior), multiplied out and summed.
                t = keep * keep * total(sums.pairs[pair][other]) + m.q * prior[pair] * prior[other]
                t += keep * (share[pair] * prior[other] + prior[pair] * share[other])
                pairs[pair * n_pairs + other] = pairs[other * n_pairs + pair] = t
            pair += 1
    for j in range(S):
        for i in range(S - 1, -1, -1):
            if singular:
                gradient[i * S + j] = 2.0 * total(sums.direct[i][j])
                continue
            t = 2.0 * gamma[i * S + j]
            for k in range(i + 1, S):
                t -= m.T[k * S + i] * gradient[k * S + j]
            gradient[i * S + j] = t / m.T[i * S + i]


cdef Py_ssize_t kept(const Model* m) noexcept nogil:
    """Return how many numbers are kept of eight levels between the two passes."""
    return (m.S * (m.S + 1) // 2 + (m.p + 1) * m.S) * LANES


cdef Py_ssize_t room(const Model* m) noexcept nogil:
    return ((m.q + LANES - 1) // LANES) * kept(m)


cdef bint evaluate(const Model* m, Evaluation* at) noexcept nogil:
    """Factor, solve and differentiate; False if the border that is left is not positive definite."""
    cdef Py_ssize_t a, b, chunk, p = m.p, n_chunks = (m.q + LANES - 1) // LANES, step = kept(m)
    cdef Sums sums
    cdef bint singular
    clear(&sums, m.S, p)
    for chunk in range(n_chunks):
        eliminate(m, chunk, at.work + chunk * step, &sums)
    flush(&sums)
    for a in range(p + 1):
        for b in range(a + 1):
            at.root[a * (p + 1) + b] = -total(sums.schur[a][b]) + (
                m.XX[a * p + b] if a < p else m.rX[b] if b < p else m.rss
            )
            if b < a:
                at.root[b * (p + 1) + a] = 0.0
    at.log_det, at.log_det_fixed = sums.log_det, factor_border(at.root, p)
    if isnan(at.log_det_fixed):
        return False
    at.sigma2 = m.fixed_sigma2 if m.fixed_sigma2 > 0.0 else at.root[p * (p + 1) + p] / m.df
    singular = is_singular(m, &sums)
    for chunk in range(n_chunks):
        differentiate(
            m, chunk, at.work + chunk * step, at.root, m.fixed_effects, singular, at.sigma2, at.u, &sums
        )
    gather(m, &sums, singular, at.sigma2, m.least_share, at.gap, at.gradient, at.pairs)
    return True


def one_factor(
    const double[:, :, ::1] faces,
    const double[:, :, ::1] XZ,
    const double[:, ::1] r,
    const double[:, ::1] XX,
    const double[::1] rX,
    double rss,
    const double[:, ::1] T,
    double df,
    double sigma2,
    bint fixed_effects,
    double least_share,
):
    cdef Py_ssize_t S = T.shape[0], p = XX.shape[0], q = r.shape[1], n_pairs = S * (S + 1) // 2
    cdef Model model
    cdef Evaluation at
    cdef bint is_definite
    cdef double[:, ::1] root = np.empty((p + 1, p + 1))
    cdef double[:, ::1] u = np.empty((S, q))
    cdef double[:, ::1] gap = np.empty((S, S))
    cdef double[:, ::1] gradient = np.empty((S, S))
    cdef double[:, ::1] pairs = np.empty((n_pairs, n_pairs))
    model.faces, model.r, model.T = &faces[0, 0, 0], &r[0, 0], &T[0, 0]
    model.XZ, model.XX, model.rX = NULL, NULL, NULL
    if p:
        model.XZ, model.XX, model.rX = &XZ[0, 0, 0], &XX[0, 0], &rX[0]
    model.rss, model.df, model.fixed_sigma2, model.least_share = rss, df, sigma2, least_share
    model.fixed_effects, model.S, model.p, model.q = fixed_effects, S, p, q
    at.root, at.u, at.gap, at.gradient, at.pairs = &root[0, 0], &u[0, 0], &gap[0, 0], &gradient[0, 0], &pairs[0, 0]
    at.work = <double*> malloc(room(&model) * sizeof(double))
    if at.work == NULL:
        raise MemoryError()
    with nogil:
        is_definite = evaluate(&model, &at)
        free(at.work)
    if not is_definite:
        raise np.linalg.LinAlgError("the penalized least-squares system is not positive definite")
    return at.log_det, at.log_det_fixed, at.sigma2, root.base, u.base, gradient.base, gap.base, pairs.base
