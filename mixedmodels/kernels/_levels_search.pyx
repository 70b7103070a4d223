# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The search for the optimum of a Laplace approximation with one grouping factor, its terms unstructured.

The objective is that of mixedmodels/engines/generalized/by_level.py, the search that of search.joint_fit().
"""

from libc.math cimport isfinite, log
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from mixedmodels.kernels._levels cimport (
    Rows, columns_of, finish, inner_products, level_mode, level_pullback, spherical,
)
from mixedmodels.kernels._quasi_newton cimport FINE, MAX_K, UNUSUAL, Search, dot, minimize

import numpy as np

cdef enum:
    MAX_S = 8

# As in _levels.pyx.
cdef double LEAST_PRODUCT = 1e-150


cdef struct Context:
    # The model; scales of the parameters; the factor, the modes, and row by row what is found at them.
    int kind
    Py_ssize_t n, q, S, p, n_terms
    Py_ssize_t[MAX_S] sizes
    double[MAX_S * MAX_S] T
    double[MAX_S * MAX_S] dT
    double constant
    const double* y
    const double* w
    const double* Z
    const double* Q
    const double* offset
    const double* scale
    const Py_ssize_t* starts
    double* u
    double* fixed
    double* found
    double* half
    double* residual
    double* work


cdef Py_ssize_t fill_factor(Context* c, const double* x) noexcept nogil:
    """Put theta into T, the lower triangle of each term column by column; return how many there are."""
    cdef Py_ssize_t t, i, j, o = 0, k = 0
    memset(c.T, 0, c.S * c.S * sizeof(double))
    for t in range(c.n_terms):
        for j in range(c.sizes[t]):
            for i in range(j, c.sizes[t]):
                c.T[(o + i) * c.S + o + j] = x[k] * c.scale[k]
                k += 1
        o += c.sizes[t]
    return k


cdef void linear_predictor(Context* c, const double* x, const double* scale) noexcept nogil:
    """Set the fixed part of every row."""
    cdef Py_ssize_t i, a
    cdef double gamma
    memcpy(c.fixed, c.offset, c.n * sizeof(double))
    for a in range(c.p):
        gamma = x[a] * scale[a]
        for i in range(c.n):
            c.fixed[i] += gamma * c.Q[a * c.n + i]


cdef bint at_level(Context* c, Py_ssize_t l, double* loglik) noexcept nogil:
    """Find the mode of a level, and add its log-likelihood and its part of the gradient."""
    cdef Py_ssize_t a = c.starts[l], m = c.starts[l + 1] - a, S = c.S, n = c.n, i
    cdef double* eta = c.found + a
    cdef double* zeta = c.work + 2 * S * S + 4 * S + 2 * m
    cdef double* raw = zeta + S * m
    cdef Rows rows
    rows.m, rows.S, rows.kind = m, S, c.kind
    rows.y, rows.w, rows.fixed, rows.zeta = c.y + a, c.w + a, c.fixed + a, zeta
    columns_of(c.Z + a * S, m, S, raw)
    spherical(raw, c.T, m, S, zeta)
    if level_mode(&rows, c.u + l * S, eta, eta + n, eta + 2 * n, eta + 3 * n, c.half + l * S * S, c.work):
        return False
    loglik[0] += finish(&rows, eta, eta + n, eta + 2 * n, eta + 3 * n)
    inner_products(c.half + l * S * S, S, c.work)
    for i in range(m):
        c.residual[a + i] = -2.0 * eta[n + i]
    level_pullback(
        m, S, raw, zeta, c.u + l * S, eta + n, eta + 2 * n, eta + 3 * n,
        c.work, c.work, NULL, c.residual + a, c.dT, c.work + S * S,
    )
    return True


cdef int objective(void* context, const double* x, double* f, double* g, double* rounding) noexcept nogil:
    """Set -2 log-likelihood by the Laplace approximation, and its gradient."""
    cdef Context* c = <Context*> context
    cdef Py_ssize_t l, s, t, i, j, S = c.S, o = 0, k, n_theta = fill_factor(c, x)
    cdef double loglik = 0.0, squares = 0.0, log_det = 0.0, product = 1.0
    linear_predictor(c, x + n_theta, c.scale + n_theta)
    memset(c.dT, 0, S * S * sizeof(double))
    for l in range(c.q):
        if not at_level(c, l, &loglik):
            return UNUSUAL
        squares += dot(c.u + l * S, c.u + l * S, S)
        for s in range(S):
            product *= c.half[l * S * S + s * S + s]
            if product < LEAST_PRODUCT:
                log_det -= 2.0 * log(product)
                product = 1.0
    log_det -= 2.0 * log(product)
    if not isfinite(loglik):
        return UNUSUAL
    f[0] = squares - 2.0 * loglik + log_det - 2.0 * c.constant
    rounding[0] = 0.0
    k = 0
    for t in range(c.n_terms):
        for j in range(c.sizes[t]):
            for i in range(j, c.sizes[t]):
                g[k] = c.dT[(o + i) * S + o + j] * c.scale[k]
                k += 1
        o += c.sizes[t]
    for i in range(c.p):
        g[k + i] = dot(c.Q + i * c.n, c.residual, c.n) * c.scale[k + i]
    return FINE


cdef class LevelObjective:
    """The objective of one model; see kernels/levels_search.py."""

    cdef Context c
    cdef double* room
    cdef object kept
    cdef readonly object u

    def __cinit__(
        self,
        int kind,
        const double[::1] y,
        const double[::1] weights,
        double constant,
        const double[:, ::1] Z,
        const Py_ssize_t[::1] starts,
        const double[:, ::1] Q,
        const double[::1] offset,
        tuple sizes,
        double[:, ::1] u,
    ):
        cdef Context* c = &self.c
        cdef Py_ssize_t n = y.shape[0], q = u.shape[0], S = u.shape[1], i, longest = 0
        if S > MAX_S:
            raise ValueError("too many coefficients")
        # Whose memory is read.
        self.kept, self.u = (y, weights, Z, starts, Q, offset), u.base
        c.kind, c.n, c.q, c.S, c.p, c.constant, c.n_terms = kind, n, q, S, Q.shape[0], constant, len(sizes)
        for i in range(c.n_terms):
            c.sizes[i] = sizes[i]
        for i in range(q):
            longest = max(longest, starts[i + 1] - starts[i])
        self.room = <double*> malloc(
            (6 * n + q * S * S + 2 * S * S + 4 * S + (2 + 2 * S) * longest + 1) * sizeof(double)
        )
        if self.room == NULL:
            raise MemoryError()
        c.y, c.w, c.Z, c.starts = &y[0], &weights[0], &Z[0, 0], &starts[0]
        c.Q, c.offset, c.u = &Q[0, 0] if c.p else NULL, &offset[0], &u[0, 0]
        c.fixed, c.residual, c.found = self.room, self.room + n, self.room + 2 * n
        c.half = self.room + 6 * n
        c.work = c.half + q * S * S

    def __dealloc__(self):
        free(self.room)

    def gradient(self, const double[::1] psi):
        cdef double[::1] g = np.empty(psi.shape[0])
        cdef double f, rounding
        cdef double[::1] scale = np.ones(psi.shape[0])
        cdef int status
        self.c.scale = &scale[0]
        with nogil:
            status = objective(&self.c, &psi[0], &f, &g[0], &rounding)
        return g.base if status == FINE else None

    def search(
        self,
        const double[::1] scale,
        const double[::1] x,
        const double[:, ::1] H,
        double value,
        const double[::1] gradient,
        double tolerance,
        double max_step,
    ):
        cdef Search s
        cdef Py_ssize_t i, j
        cdef int status
        if x.shape[0] > MAX_K:
            return None
        self.c.scale = &scale[0]
        s.objective, s.context, s.k, s.f, s.rounding = objective, &self.c, x.shape[0], value, 0.0
        for i in range(s.k):
            s.x[i], s.g[i] = x[i], gradient[i]
            for j in range(s.k):
                s.H[i][j] = H[i, j]
        with nogil:
            status = minimize(&s, tolerance, max_step)
        return result(&s) if status == FINE else None


cdef tuple result(Search* s):
    """Return what kernels/levels_search.py says."""
    cdef Py_ssize_t i, j, k = s.k
    cdef double[:, ::1] H = np.empty((k, k))
    cdef double[::1] x = np.empty(k)
    cdef double[::1] g = np.empty(k)
    cdef double[:, ::1] points = np.empty((s.n_points, k))
    for i in range(k):
        x[i], g[i] = s.x[i], s.g[i]
        for j in range(k):
            H[i, j] = s.H[i][j]
    for i in range(s.n_points):
        memcpy(&points[i, 0], s.points[i], k * sizeof(double))
    path = tuple(zip(points.base, [s.values[i] for i in range(s.n_points)]))
    tried = [s.tried[i] for i in range(s.n_evaluations)]
    return x.base, s.f, g.base, H.base, s.decrement, path, tried
