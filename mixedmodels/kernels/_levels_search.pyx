# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The search for the optimum of a Laplace approximation with one grouping factor, its terms unstructured.

The objective is that of mixedmodels/engines/generalized/by_level.py, the search that of search.joint_fit().
"""

from libc.math cimport INFINITY, isfinite, log, sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from mixedmodels.kernels._level_context cimport MAX_S, Context
from mixedmodels.kernels._levels cimport (
    Rows, columns_of, derivatives, finish, inner_products, level_mode, level_pullback, spherical,
)
from mixedmodels.kernels._quasi_newton cimport FINE, MAX_K, UNUSUAL, Search, dot, minimize
from mixedmodels.kernels._scalar_levels cimport at_scalar_level, set_hessian

import numpy as np

# As in _levels.pyx.
cdef double LEAST_PRODUCT = 1e-150


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


cdef void set_gradient(const Context* c, double* g) noexcept nogil:
    """Set the gradient from dT and the derivatives in eta."""
    cdef Py_ssize_t t, i, j, o = 0, k = 0
    for t in range(c.n_terms):
        for j in range(c.sizes[t]):
            for i in range(j, c.sizes[t]):
                g[k] = c.dT[(o + i) * c.S + o + j] * c.scale[k]
                k += 1
        o += c.sizes[t]
    for i in range(c.p):
        g[k + i] = dot(c.Q + i * c.n, c.residual, c.n) * c.scale[k + i]


cdef int objective(void* context, const double* x, double* f, double* g, double* rounding) noexcept nogil:
    """Set -2 log-likelihood by the Laplace approximation, and its gradient."""
    cdef Context* c = <Context*> context
    cdef Py_ssize_t l, s, S = c.S, n_theta = fill_factor(c, x)
    cdef double loglik = 0.0, squares = 0.0, log_det = 0.0, product = 1.0
    linear_predictor(c, x + n_theta, c.scale + n_theta)
    memset(c.dT, 0, S * S * sizeof(double))
    for l in range(c.q):
        # Whatever is not usual is for the general loop.
        if not (S == 1 and at_scalar_level(c, l, &loglik)) and not at_level(c, l, &loglik):
            return UNUSUAL
        squares += dot(c.u + l * S, c.u + l * S, S)
        for s in range(S):
            product *= c.half[l * S * S + s * S + s]
            if product < LEAST_PRODUCT:
                log_det -= 2.0 * log(product)
                product = 1.0
    c.log_det = log_det - 2.0 * log(product)
    if not isfinite(loglik):
        return UNUSUAL
    f[0] = squares - 2.0 * loglik + c.log_det - 2.0 * c.constant
    rounding[0] = 0.0
    set_gradient(c, g)
    return FINE


cdef bint cholesky(double* A, Py_ssize_t n) noexcept nogil:
    """Overwrite the lower triangle of A with its Cholesky factor; False if it has none."""
    cdef Py_ssize_t i, j
    cdef double t
    for j in range(n):
        for i in range(j, n):
            t = A[i * n + j] - dot(A + i * n, A + j * n, j)
            if i > j:
                A[i * n + j] = t / A[j * n + j]
            elif t > 0.0:
                A[j * n + j] = sqrt(t)
            else:
                return False
    return True


cdef void solve(const double* L, Py_ssize_t n, double* b) noexcept nogil:
    """Overwrite b with the solution of ``L L'x = b``."""
    cdef Py_ssize_t i, k
    for i in range(n):
        b[i] = (b[i] - dot(L + i * n, b, i)) / L[i * n + i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            b[i] -= L[k * n + i] * b[k]
        b[i] /= L[i * n + i]


cdef void add_information(const Context* c, const double* W, double* M) noexcept nogil:
    """Set the lower triangle of ``Q'WQ``."""
    cdef Py_ssize_t a, b, i
    cdef double weighted
    memset(M, 0, c.p * c.p * sizeof(double))
    for i in range(c.n):
        for a in range(c.p):
            weighted = c.Q[a * c.n + i] * W[i]
            for b in range(a + 1):
                M[a * c.p + b] += weighted * c.Q[b * c.n + i]


cdef void take_level(Context* c, Py_ssize_t l, double* M, double* V) noexcept nogil:
    """Take from M what the effects of a level take of the information about the fixed effects."""
    cdef Py_ssize_t first = c.starts[l], m = c.starts[l + 1] - first, S = c.S, a, b, i, s, t
    cdef double* zeta = c.work + 2 * S * S + 4 * S + 2 * m
    cdef double* raw = zeta + S * m
    cdef const double* half = c.half + l * S * S
    cdef const double* W = c.found + 2 * c.n + first
    cdef double[MAX_S] own
    columns_of(c.Z + first * S, m, S, raw)
    spherical(raw, c.T, m, S, zeta)
    for a in range(c.p):
        for s in range(S):
            own[s] = 0.0
            for i in range(m):
                own[s] += c.Q[a * c.n + first + i] * W[i] * zeta[s * m + i]
        for s in range(S):
            V[a * S + s] = 0.0
            for t in range(s + 1):
                V[a * S + s] += half[s * S + t] * own[t]
    for a in range(c.p):
        for b in range(a + 1):
            M[a * c.p + b] -= dot(V + a * S, V + b * S, S)


cdef double without_effects(Context* c, const double* gamma) noexcept nogil:
    """Return the log-likelihood at u = 0, with score and information of every row."""
    cdef double* eta = c.found
    cdef Rows rows
    cdef Py_ssize_t a, i
    memcpy(eta, c.offset, c.n * sizeof(double))
    for a in range(c.p):
        for i in range(c.n):
            eta[i] += gamma[a] * c.Q[a * c.n + i]
    rows.m, rows.S, rows.kind, rows.y, rows.w, rows.fixed, rows.zeta = c.n, 0, c.kind, c.y, c.w, eta, NULL
    derivatives(&rows, eta, eta + c.n, eta + 2 * c.n, eta + 3 * c.n)
    return finish(&rows, eta, eta + c.n, eta + 2 * c.n, eta + 3 * c.n)


cdef bint scoring_step(Context* c, const double* score, double* M, double* step) noexcept nogil:
    """Set the step that Fisher scoring takes from a score of every row; zero where M is singular."""
    cdef Py_ssize_t a
    add_information(c, c.found + 2 * c.n, M)
    for a in range(c.p):
        step[a] = dot(c.Q + a * c.n, score, c.n)
    if not cholesky(M, c.p):
        memset(step, 0, c.p * sizeof(double))
        return False
    solve(M, c.p, step)
    return True


cdef double moved(Context* c, double loglik, double* gamma, double* M, double* step) noexcept nogil:
    """Take a scoring step, halved until the likelihood grows, and return it; stay if it never does."""
    cdef double[MAX_K] trial
    cdef double length = 1.0, found
    cdef Py_ssize_t a, k
    scoring_step(c, c.found + c.n, M, step)
    for k in range(4):
        for a in range(c.p):
            trial[a] = gamma[a] + length * step[a]
        found = without_effects(c, trial)
        if found > loglik:
            memcpy(gamma, trial, c.p * sizeof(double))
            return found
        length *= 0.5
    without_effects(c, gamma)
    return loglik


cdef double scoring(
    Context* c, const double* eta, Py_ssize_t n_steps, double* gamma, double* M, double* step
) noexcept nogil:
    """Set gamma of the model without random effects to some scoring steps from linear predictors eta.

    Returns the log-likelihood there; c.found has score and information of the rows.
    """
    cdef Py_ssize_t n = c.n, i, k
    cdef double loglik
    cdef Rows at
    # 1. R's start: a least-squares step from linear predictors close to the response.
    at.m, at.S, at.kind, at.y, at.w, at.fixed, at.zeta = n, 0, c.kind, c.y, c.w, eta, NULL
    derivatives(&at, eta, c.found + n, c.found + 2 * n, c.found + 3 * n)
    for i in range(n):
        c.residual[i] = c.found[n + i] + c.found[2 * n + i] * (eta[i] - c.offset[i])
    scoring_step(c, c.residual, M, gamma)
    loglik = without_effects(c, gamma)
    # 2. Scoring steps.
    for k in range(n_steps):
        loglik = moved(c, loglik, gamma, M, step)
    return loglik


cdef double settled(
    Context* c, double loglik, Py_ssize_t most, double gain, double* gamma, double* M, double* step
) noexcept nogil:
    """Go on scoring until a step gains less than `gain`, and return the log-likelihood."""
    cdef double before
    cdef Py_ssize_t k
    for k in range(most):
        before = loglik
        loglik = moved(c, before, gamma, M, step)
        if loglik - before < gain:
            break
    return loglik


cdef bint fixed_inverse(Context* c, double* M, double* inverse) noexcept nogil:
    """Set the inverse of the information about gamma at the last point of objective(); False if it has none."""
    cdef Py_ssize_t l, a, p = c.p
    cdef double[MAX_K * MAX_S] V
    add_information(c, c.found + 2 * c.n, M)
    for l in range(c.q):
        take_level(c, l, M, V)
    if not cholesky(M, p):
        return False
    for a in range(p):
        memset(inverse + a * p, 0, p * sizeof(double))
        inverse[a * p + a] = 1.0
        solve(M, p, inverse + a * p)
    return True


cdef double step_size(double variance, double smallest, double largest, double share) noexcept nogil:
    """Return a step in proportion to a standard error, as differences.py."""
    return min(max(share * sqrt(max(variance, 0.0)), smallest), largest)


cdef bint column(
    Context* c, double* x, Py_ssize_t n, Py_ssize_t k, double step, double* up, double* down
) noexcept nogil:
    """Set the derivative of the gradient along one axis."""
    cdef double at = x[k], f, rounding
    cdef Py_ssize_t i
    cdef int status
    x[k] = at + step
    status = objective(c, x, &f, up, &rounding)
    if status == FINE:
        x[k] = at - step
        status = objective(c, x, &f, down, &rounding)
    x[k] = at
    for i in range(n):
        up[i] = (up[i] - down[i]) / (2.0 * step)
    return status == FINE


cdef class LevelObjective:
    """The objective of one model; see kernels/levels_search.py."""

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

    def value(self, const double[::1] psi):
        cdef double[::1] g = np.empty(psi.shape[0])
        cdef double f, rounding
        cdef double[MAX_K] ones
        cdef int status
        self.c.scale = ones
        for i in range(MAX_K):
            ones[i] = 1.0
        with nogil:
            status = objective(&self.c, &psi[0], &f, &g[0], &rounding)
        return (f, g.base) if status == FINE else None

    def gradient(self, const double[::1] psi):
        found = self.value(psi)
        return None if found is None else found[1]

    def fixed_inverse(self):
        # What objective() has left behind at its last point.
        cdef Py_ssize_t p = self.c.p
        cdef double[:, ::1] M = np.empty((p, p)), inverse = np.empty((p, p))
        cdef bint is_fine = True
        if p:
            with nogil:
                is_fine = fixed_inverse(&self.c, &M[0, 0], &inverse[0, 0])
        return inverse.base if is_fine else None

    def without_random_effects(self, const double[::1] eta, Py_ssize_t n_steps, Py_ssize_t most, double gain):
        cdef Context* c = &self.c
        cdef Py_ssize_t p = c.p, n = c.n
        cdef double loglik, nested
        cdef double[::1] step = np.empty(p + 1), gamma = np.zeros(p + 1)
        cdef double[:, ::1] M = np.empty((p + 1, p + 1)), rows = np.empty((2, n))
        if p > MAX_K:
            return None
        with nogil:
            loglik = scoring(c, &eta[0], n_steps, &gamma[0], &M[0, 0], &step[0])
            memcpy(&rows[0, 0], c.found + n, 2 * n * sizeof(double))
        if not isfinite(loglik):
            return None
        start = np.array(gamma[:p])
        with nogil:
            nested = settled(c, loglik, most, gain, &gamma[0], &M[0, 0], &step[0])
        return start, rows.base[0], rows.base[1], -2.0 * (nested + c.constant)

    def second_derivatives(self, const double[::1] psi):
        cdef Py_ssize_t k = 1 + self.c.p
        cdef double[:, ::1] H = np.empty((k, k))
        if self.c.S != 1 or k > MAX_K or self.value(psi) is None:
            return None
        with nogil:
            set_hessian(&self.c, &H[0, 0])
        return H.base

    def hessian(
        self,
        const double[::1] psi,
        const double[::1] variances,
        const double[::1] smallest,
        const double[::1] largest,
        double share,
        double wrong,
        Py_ssize_t trials,
    ):
        cdef Py_ssize_t m = psi.shape[0], i, k, trial
        cdef double[:, ::1] H = np.empty((m, m))
        cdef double[MAX_K] ones, x, down
        cdef double size, wanted
        cdef bint is_fine = True
        if m > MAX_K:
            return None
        for i in range(m):
            ones[i], x[i] = 1.0, psi[i]
        self.c.scale = ones
        with nogil:
            for k in range(m):
                size = step_size(variances[k], smallest[k], largest[k], share)
                for trial in range(trials):
                    is_fine = column(&self.c, x, m, k, size, &H[k, 0], down)
                    if not is_fine:
                        break
                    wanted = 2.0 / H[k, k] if H[k, k] > 0.0 else INFINITY
                    wanted = step_size(wanted, smallest[k], largest[k], share)
                    if size / wrong <= wanted <= size * wrong:
                        break
                    size = wanted
                if not is_fine:
                    break
        return H.base if is_fine else None

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
        return found_by(&s) if status == FINE else None


cdef tuple found_by(const Search* s):
    """Return the end of a search as kernels/levels_search.py says."""
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
