# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The search of a linear mixed model with one grouping factor, its terms unstructured: start to optimum.

What mixedmodels/engines/linear/fit.py does by `_search_scored`, with the formulas of start.py, step by step.
"""

from libc.math cimport INFINITY, fabs, isfinite, log, sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from mixedmodels.kernels._one_factor cimport MAX_C, MAX_PAIRS, MAX_S, Evaluation, Model, evaluate, room
from mixedmodels.kernels._quasi_newton cimport FINE, INFINITE, MAX_K, UNUSUAL, Search, dot, minimize

import numpy as np

cdef enum:
    # Coefficients of one term, their squares; sweeps of Jacobi's method, which needs half a dozen.
    MAX_TERM = 6
    MAX_SQUARE = 36
    MAX_SWEEPS = 50
    # Points far off at which the objective is asked for.
    MAX_FAR = 4

cdef double LOG_2PI = 1.8378770664093453
# Elements off the diagonal that Jacobi's method leaves, relative to the largest on it.
cdef double DIAGONAL = 1e-17

ctypedef double Square[MAX_SQUARE][MAX_SQUARE]


cdef struct Options:
    # Constants of start.py and fit.py, whose names they have.
    double constant, rounding, least_sigma2
    double least_factor, largest_factor, least_curvature


cdef struct Context:
    # The model, its factor at the last point, and what was found at the last point and the best one.
    Model model
    Options options
    double[MAX_S * MAX_S] T
    Py_ssize_t n_terms, now
    Py_ssize_t[MAX_S] sizes
    Evaluation[2] at
    double[2][(MAX_C) * (MAX_C)] roots
    double[2][3][MAX_S * MAX_S] faces
    double[2][MAX_PAIRS * MAX_PAIRS] pairs


cdef void fill_factor(Context* c, const double* x) noexcept nogil:
    """Put free coordinates into T: the lower triangle of each term, column by column."""
    cdef Py_ssize_t t, i, j, o = 0, S = c.model.S
    memset(c.T, 0, S * S * sizeof(double))
    for t in range(c.n_terms):
        for j in range(c.sizes[t]):
            for i in range(j, c.sizes[t]):
                c.T[(o + i) * S + o + j] = x[0]
                x += 1
        o += c.sizes[t]


cdef int objective(void* context, const double* x, double* f, double* g, double* rounding) noexcept nogil:
    """Set the objective (Bates et al. 2015, eq. 32 and 40), its gradient and its rounding."""
    cdef Context* c = <Context*> context
    cdef Evaluation* at = &c.at[c.now]
    cdef Py_ssize_t t, i, j, o = 0, S = c.model.S, p = c.model.p
    fill_factor(c, x)
    if not evaluate(&c.model, at):
        return INFINITE
    if not at.sigma2 > c.options.least_sigma2:
        return UNUSUAL
    f[0] = at.log_det + c.options.constant + c.model.df * (LOG_2PI + log(at.sigma2))
    f[0] += at.root[p * (p + 1) + p] / at.sigma2
    if c.model.fixed_effects:
        f[0] += at.log_det_fixed
    rounding[0] = c.options.rounding * c.model.rss / at.sigma2
    for t in range(c.n_terms):
        for j in range(c.sizes[t]):
            for i in range(j, c.sizes[t]):
                g[0] = at.gradient[(o + i) * S + o + j]
                g += 1
        o += c.sizes[t]
    return FINE


cdef bint cholesky(Py_ssize_t n, Square A) noexcept nogil:
    """Overwrite the lower triangle of A with its Cholesky factor; False if it has none."""
    cdef Py_ssize_t i, j, k
    cdef double t
    for j in range(n):
        for i in range(j, n):
            t = A[i][j]
            for k in range(j):
                t -= A[i][k] * A[j][k]
            if i > j:
                A[i][j] = t / A[j][j]
            elif t > 0.0:
                A[j][j] = sqrt(t)
            else:
                return False
    return True


cdef void solve(Py_ssize_t n, Square L, double* b) noexcept nogil:
    """Overwrite b with the solution of ``L L'x = b``."""
    cdef Py_ssize_t i, k
    for i in range(n):
        for k in range(i):
            b[i] -= L[i][k] * b[k]
        b[i] /= L[i][i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            b[i] -= L[k][i] * b[k]
        b[i] /= L[i][i]


cdef void eigen(Py_ssize_t n, Square A, Square V) noexcept nogil:
    """Diagonalize a symmetric A by Jacobi's method; its eigenvectors are the columns of V."""
    cdef Py_ssize_t i, p, q, sweep
    cdef double off, size, theta, t, c, s, a, b
    for p in range(n):
        for q in range(n):
            V[p][q] = 1.0 if p == q else 0.0
    for sweep in range(MAX_SWEEPS):
        off = size = 0.0
        for p in range(n):
            size = max(size, fabs(A[p][p]))
            for q in range(p):
                off = max(off, fabs(A[p][q]))
        if not off > DIAGONAL * size:
            return
        for p in range(n - 1):
            for q in range(p + 1, n):
                if A[p][q] == 0.0:
                    continue
                theta = (A[q][q] - A[p][p]) / (2.0 * A[p][q])
                t = (1.0 if theta >= 0.0 else -1.0) / (fabs(theta) + sqrt(theta * theta + 1.0))
                c = 1.0 / sqrt(t * t + 1.0)
                s = t * c
                for i in range(n):
                    a, b = A[i][p], A[i][q]
                    A[i][p], A[i][q] = c * a - s * b, s * a + c * b
                for i in range(n):
                    a, b = A[p][i], A[q][i]
                    A[p][i], A[q][i] = c * a - s * b, s * a + c * b
                for i in range(n):
                    a, b = V[i][p], V[i][q]
                    V[i][p], V[i][q] = c * a - s * b, s * a + c * b


cdef void floored(Py_ssize_t n, Square A, double least, double largest) noexcept nogil:
    """Move the eigenvalues of a symmetric A into an interval."""
    cdef Py_ssize_t i, j, k
    cdef double t
    cdef Square V, D
    memcpy(D, A, sizeof(Square))
    eigen(n, D, V)
    for i in range(n):
        for j in range(i + 1):
            t = 0.0
            for k in range(n):
                t += V[i][k] * min(max(D[k][k], least), largest) * V[j][k]
            A[i][j] = A[j][i] = t


cdef inline Py_ssize_t pair(Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    """Return the number of an element of a symmetric matrix among those of its lower triangle, row by row."""
    return i * (i + 1) // 2 + j if i >= j else j * (j + 1) // 2 + i


cdef void information(const Context* c, Py_ssize_t which, Py_ssize_t o, Py_ssize_t s, Square M) noexcept nogil:
    """Set ``sum_l B_l (x) B_l`` of the term whose s coefficients begin at o."""
    cdef Py_ssize_t i, j, k, l, n_pairs = c.model.S * (c.model.S + 1) // 2
    for i in range(s):
        for k in range(s):
            for j in range(s):
                for l in range(s):
                    M[i * s + k][j * s + l] = c.at[which].pairs[pair(o + i, o + j) * n_pairs + pair(o + k, o + l)]


cdef bint score(Context* c, Py_ssize_t which, Py_ssize_t o, Py_ssize_t s, const double* x, double* new) noexcept nogil:
    """Set the factor of a term after a step of Fisher scoring, kept positive definite."""
    cdef Py_ssize_t i, j, k, S = c.model.S
    cdef double trace = 0.0
    cdef Square M, A, L
    cdef double[MAX_SQUARE] step
    information(c, which, o, s, M)
    for i in range(s):
        for j in range(s):
            step[i * s + j] = c.at[which].gap[(o + i) * S + o + j]
    if not cholesky(s * s, M):
        return False
    solve(s * s, M, step)
    for i in range(s):
        for j in range(i + 1):
            A[i][j] = A[j][i] = (1.0 if i == j else 0.0) - step[i * s + j]
        trace += A[i][i]
    memcpy(L, A, sizeof(Square))
    for i in range(s):
        L[i][i] -= c.options.least_factor
    if not cholesky(s, L) or trace > c.options.largest_factor:
        floored(s, A, c.options.least_factor, c.options.largest_factor)
    if not cholesky(s, A):
        return False
    # The lower triangle of T times that of the root, both column by column.
    for j in range(s):
        for i in range(j, s):
            new[0] = 0.0
            for k in range(j, i + 1):
                new[0] += x[k * s - k * (k + 1) // 2 + i] * A[k][j]
            new += 1
    return True


cdef bint curvature(Context* c, Py_ssize_t which, Py_ssize_t o, Py_ssize_t s, const double* x, Py_ssize_t first, Search* found) noexcept nogil:
    """Put the inverse of the expected Hessian of a term into that of the search."""
    cdef Py_ssize_t a, b, f, g, i, j, k, S = c.model.S, n = s * (s + 1) // 2
    cdef Square M, G, K, H, V, both
    cdef Py_ssize_t[MAX_SQUARE] row, column
    cdef double t
    cdef double[MAX_SQUARE] along
    information(c, which, o, s, M)
    # 1. K = T^-1; the change that an element (i, j) of T makes is E: row i of T^-1 turned into column j.
    f = 0
    for j in range(s):
        for i in range(j, s):
            row[f], column[f] = i, j
            f += 1
            G[i][j] = G[j][i] = c.at[which].gap[(o + i) * S + o + j]
    for j in range(s):
        for i in range(s):
            t = 1.0 if i == j else 0.0
            for k in range(j, i):
                t -= x[k * s - k * (k + 1) // 2 + i] * K[k][j]
            K[i][j] = t / x[i * s - i * (i + 1) // 2 + i] if i >= j else 0.0
            if not isfinite(K[i][j]):
                return False
    floored(s, G, 0.0, INFINITY)
    for f in range(n):
        memset(both[f], 0, s * s * sizeof(double))
        for a in range(s):
            both[f][a * s + column[f]] += K[a][row[f]]
            both[f][column[f] * s + a] += K[a][row[f]]
    # 2. The expected information, and what a variance at zero adds.
    for f in range(n):
        for a in range(s * s):
            along[a] = 0.0
            for b in range(s * s):
                along[a] += both[f][b] * M[b][a]
        for g in range(n):
            t = 0.0
            for a in range(s * s):
                t += along[a] * both[g][a]
            if column[f] == column[g]:
                for a in range(s):
                    for b in range(s):
                        t += 2.0 * K[a][row[f]] * G[a][b] * K[b][row[g]]
            H[f][g] = t
    # 3. Its inverse by the eigenvalues of the Hessian scaled to unit diagonal.
    for f in range(n):
        along[f] = sqrt(H[f][f])
    for f in range(n):
        for g in range(n):
            H[f][g] /= along[f] * along[g]
    eigen(n, H, V)
    for f in range(n):
        for g in range(n):
            t = 0.0
            for k in range(n):
                t += V[f][k] * V[g][k] / max(H[k][k], c.options.least_curvature)
            t /= along[f] * along[g]
            if not isfinite(t):
                return False
            found.H[first + f][first + g] = t
    return True


cdef int scored(Context* c, Search* s, Py_ssize_t most, double least_gain, Py_ssize_t* best) noexcept nogil:
    """Evaluate the start, then steps of Fisher scoring while they gain much."""
    cdef Py_ssize_t t, o, first, step
    cdef double[MAX_K] x, g
    cdef double f, rounding, gain
    c.now = best[0] = 0
    s.n_evaluations = 1
    if objective(c, s.x, &s.f, s.g, &rounding) != FINE:
        return UNUSUAL
    for step in range(most):
        o = first = 0
        for t in range(c.n_terms):
            if not score(c, best[0], o, c.sizes[t], s.x + first, x + first):
                return UNUSUAL
            o += c.sizes[t]
            first += c.sizes[t] * (c.sizes[t] + 1) // 2
        c.now = 1 - best[0]
        s.n_evaluations += 1
        if objective(c, x, &f, g, &rounding) != FINE:
            return UNUSUAL
        gain = s.f - f
        if gain > 0.0:
            best[0], s.f = c.now, f
            memcpy(s.x, x, s.k * sizeof(double))
            memcpy(s.g, g, s.k * sizeof(double))
        if not gain >= least_gain:
            break
    return FINE


cdef int run(Context* c, Search* s, Py_ssize_t most, double least_gain, double tolerance, double relative, Py_ssize_t* n_scored) noexcept nogil:
    """Search from the start to the optimum."""
    cdef Py_ssize_t t, o = 0, first = 0, best
    if scored(c, s, most, least_gain, &best) != FINE:
        return UNUSUAL
    n_scored[0] = s.n_evaluations
    memset(s.H, 0, sizeof(s.H))
    for t in range(c.n_terms):
        if not curvature(c, best, o, c.sizes[t], s.x + first, first, s):
            return UNUSUAL
        o += c.sizes[t]
        first += c.sizes[t] * (c.sizes[t] + 1) // 2
    s.objective, s.context, s.rounding = objective, c, 0.0
    return minimize(s, tolerance + relative * fabs(s.f), INFINITY)


cdef int look_far(Context* c, const double* start, Py_ssize_t k, Py_ssize_t n_far, double* far) noexcept nogil:
    """Put the objective at multiples of the start in place of the factors that they are multiples by."""
    cdef Py_ssize_t i, j
    cdef double rounding
    cdef double[MAX_K] x, g
    for i in range(n_far):
        for j in range(k):
            x[j] = far[i] * start[j]
        if objective(c, x, &far[i], g, &rounding) != FINE:
            return UNUSUAL
    return FINE


cdef double smallest_deviation(const Context* c, const double* x, const double* inverse, const double* scales) noexcept nogil:
    """Return the smallest diagonal element of any T on the user's columns, in units of its scale."""
    cdef Py_ssize_t t, j, o = 0, first = 0
    cdef double least = INFINITY
    for t in range(c.n_terms):
        for j in range(c.sizes[t]):
            least = min(least, fabs(x[first] * inverse[(o + j) * (c.model.S + 1)]) / scales[first])
            first += c.sizes[t] - j
        o += c.sizes[t]
    return least


cdef void fill_theta(const Context* c, const double* inverse, double* theta) noexcept nogil:
    """Set theta of the last point: ``C^-1`` times the factor on orthogonal columns, term by term."""
    cdef Py_ssize_t t, i, j, k, o = 0, S = c.model.S
    for t in range(c.n_terms):
        for j in range(c.sizes[t]):
            for i in range(j, c.sizes[t]):
                theta[0] = 0.0
                for k in range(j, i + 1):
                    theta[0] += inverse[(o + i) * S + o + k] * c.T[(o + k) * S + o + j]
                theta += 1
        o += c.sizes[t]


cdef int take_last_step(Context* c, const Search* s, double* x, double* f) noexcept nogil:
    """Evaluate where the last quasi-Newton step leads; UNUSUAL where its factor has no positive diagonal."""
    cdef Py_ssize_t t, j, i = 0
    cdef double rounding
    cdef double[MAX_K] g
    for i in range(s.k):
        x[i] = s.x[i] - dot(s.H[i], s.g, s.k)
    i = 0
    for t in range(c.n_terms):
        for j in range(c.sizes[t]):
            if not x[i] > 0.0:
                return UNUSUAL
            i += c.sizes[t] - j
    return objective(c, x, f, g, &rounding)


cdef void solve_fixed(const Context* c, const double[:, :] R_inverse, const double[::1] projection, double[::1] beta, double[:, ::1] vcov) noexcept nogil:
    """Set beta and its unscaled covariance, of the user's columns, at the last point."""
    cdef Py_ssize_t a, b, i, p = c.model.p, n = p + 1
    cdef const double* L = c.at[c.now].root
    cdef double[MAX_C] gamma
    cdef double[MAX_C][MAX_C] W
    for i in range(p - 1, -1, -1):
        gamma[i] = L[p * n + i]
        for a in range(i + 1, p):
            gamma[i] -= L[a * n + i] * gamma[a]
        gamma[i] /= L[i * n + i]
    # W = L^-1 R^-T, whose products are the covariance.
    for a in range(p):
        beta[a] = 0.0
        for i in range(p):
            beta[a] += R_inverse[a, i] * (projection[i] + gamma[i])
            W[i][a] = R_inverse[a, i]
            for b in range(i):
                W[i][a] -= L[i * n + b] * W[b][a]
            W[i][a] /= L[i * n + i]
    for a in range(p):
        for b in range(p):
            vcov[a, b] = 0.0
            for i in range(p):
                vcov[a, b] += W[i][a] * W[i][b]


cdef tuple last_step(const Context* c, const double* x, double f, const double[:, ::1] inverse, const double[::1] scales, const double[:, :] R_inverse, const double[::1] projection):
    """Return what is found at the last point, as one_factor_search.Last names it."""
    cdef Py_ssize_t i, l, S = c.model.S, p = c.model.p, q = c.model.q, k = scales.shape[0]
    cdef const Evaluation* at = &c.at[c.now]
    cdef double[::1] theta = np.empty(k), beta = np.empty(p)
    cdef double[:, ::1] vcov = np.empty((p, p)), u = np.empty((q, S))
    fill_theta(c, &inverse[0, 0], &theta[0])
    solve_fixed(c, R_inverse, projection, beta, vcov)
    for l in range(q):
        for i in range(S):
            u[l, i] = at.u[i * q + l]
    smallest = smallest_deviation(c, x, &inverse[0, 0], &scales[0])
    pwrss = at.root[p * (p + 1) + p]
    return (
        theta.base, smallest, f, sqrt(at.sigma2), pwrss, at.log_det, at.log_det_fixed, beta.base, vcov.base, u.base
    )


cdef void describe(Context* c, tuple sizes, tuple options) except *:
    """Set the sizes of the terms, the options and where what is found at a point goes, but for room to work in."""
    cdef Py_ssize_t i
    c.n_terms = len(sizes)
    for i in range(c.n_terms):
        c.sizes[i] = sizes[i]
    c.options.constant, c.options.rounding, c.options.least_sigma2 = options[:3]
    c.options.least_factor, c.options.largest_factor, c.options.least_curvature = options[3:]
    c.model.T = c.T
    for i in range(2):
        c.at[i].root, c.at[i].pairs = c.roots[i], c.pairs[i]
        c.at[i].gradient, c.at[i].gap = c.faces[i][0], c.faces[i][1]


def search_one_factor(
    const double[:, :, ::1] faces,
    const double[:, :, ::1] XZ,
    const double[:, ::1] r,
    const double[:, ::1] XX,
    const double[::1] rX,
    double rss,
    tuple sizes,
    double[::1] start,
    double df,
    bint fixed_effects,
    double least_share,
    tuple options,
    tuple scoring,
    tuple tolerances,
    tuple far,
    tuple back,
):
    cdef Py_ssize_t S = r.shape[0], p = XX.shape[0], q = r.shape[1], k = start.shape[0], i, n_scored = 0, n_far = len(far)
    cdef Context c
    cdef Search s
    cdef int status, status_at_last = UNUSUAL
    cdef double f
    cdef double[MAX_FAR] at_far
    cdef double[MAX_K] x
    cdef Py_ssize_t most = scoring[0]
    cdef double least_gain = scoring[1], tolerance = tolerances[0], relative = tolerances[1]
    cdef const double[:, ::1] inverse = back[0]
    cdef const double[::1] scales = back[1]
    if S > MAX_S or p + 1 > MAX_C or k > MAX_K or max(sizes) > MAX_TERM or n_far > MAX_FAR:
        return None
    describe(&c, sizes, options)
    c.model.faces, c.model.r = &faces[0, 0, 0], &r[0, 0]
    c.model.XZ, c.model.XX, c.model.rX = NULL, NULL, NULL
    if p:
        c.model.XZ, c.model.XX, c.model.rX = &XZ[0, 0, 0], &XX[0, 0], &rX[0]
    c.model.rss, c.model.df, c.model.fixed_sigma2, c.model.least_share = rss, df, 0.0, least_share
    c.model.fixed_effects, c.model.S, c.model.p, c.model.q = fixed_effects, S, p, q
    s.k = k
    memcpy(s.x, &start[0], k * sizeof(double))
    for i in range(n_far):
        at_far[i] = far[i]
    cdef double* room_for_work = <double*> malloc((room(&c.model) + S * q) * sizeof(double))
    if room_for_work == NULL:
        raise MemoryError()
    try:
        for i in range(2):
            c.at[i].work, c.at[i].u = room_for_work, room_for_work + room(&c.model)
        with nogil:
            status = run(&c, &s, most, least_gain, tolerance, relative, &n_scored)
            if status == FINE:
                status = look_far(&c, &start[0], k, n_far, at_far)
            if status == FINE:
                status_at_last = take_last_step(&c, &s, x, &f)
        if status != FINE:
            return None
        last = last_step(&c, x, f, inverse, scales, back[2], back[3]) if status_at_last == FINE else None
        smallest = smallest_deviation(&c, s.x, &inverse[0, 0], &scales[0])
        return (*result(&s, n_scored), [at_far[i] for i in range(n_far)], smallest, last)
    finally:
        free(room_for_work)


cdef tuple result(Search* s, Py_ssize_t n_scored):
    """Return x, its objective and all that was found out, as one_factor_search.End names it."""
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
    return x.base, s.f, g.base, H.base, s.decrement, path, tried, n_scored, s.rounding
