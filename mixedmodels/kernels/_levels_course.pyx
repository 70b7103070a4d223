# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The usual course of a fit with one effect for each level: start, search, and looks at the optimum.

Twins: start.starting_values(), search.from_start() and exactness.exactness() of mixedmodels/engines/generalized.
"""

from libc.math cimport fabs, isfinite, log, sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from mixedmodels.kernels._level_context cimport Context
from mixedmodels.kernels._levels cimport (
    Nodes, Rows, columns_of, inner_products, level_pullback, node_cotangents, nodes_of_level, spherical,
)
from mixedmodels.kernels._levels_search cimport (
    LevelObjective, fixed_inverse, found_by, objective, scoring, set_gradient, settled,
)
from mixedmodels.kernels._quasi_newton cimport FINE, MAX_K, UNUSUAL, Search, dot, minimize
from mixedmodels.kernels._scalar_levels cimport set_hessian

import numpy as np

cdef enum:
    LOGIT = 0


cdef struct Plan:
    # What kernels/levels_course.py says.
    Py_ssize_t n_steps, most
    double gain, smallest, rough, moved, tolerance, max_step


cdef void starting_predictors(const Context* c, double* eta) noexcept nogil:
    """Set R's linear predictors close to the response: the link of the families' start_mu()."""
    cdef Py_ssize_t i
    cdef double successes
    for i in range(c.n):
        if c.kind == LOGIT:
            successes = c.w[i] * c.y[i]
            eta[i] = log((successes + 0.5) / (c.w[i] - successes + 0.5))
        else:
            eta[i] = log(c.y[i] + 0.1)


cdef double score_deviation(Context* c, double smallest, double* curvature) noexcept nogil:
    """Return the deviation of the effects that their scores at zero variance suggest, and the curvature there.

    The score of a level has mean square ``A + T^2 A^2``, A the information about its effect.
    """
    cdef Py_ssize_t l, i
    cdef double own, z, scores = 0.0, squares = 0.0, total = 0.0, deviation = 1.0, known
    cdef double* A = c.half
    for l in range(c.q):
        A[l] = own = 0.0
        for i in range(c.starts[l], c.starts[l + 1]):
            z = c.Z[i]
            A[l] += c.found[2 * c.n + i] * z * z
            own += c.found[c.n + i] * z
        scores += own * own
        squares += A[l] * A[l]
        total += A[l]
    if squares > 0.0:
        deviation = sqrt(max((scores - total) / squares, smallest * smallest * c.q / total))
    curvature[0] = 0.0
    for l in range(c.q):
        known = A[l] / (1.0 + deviation * deviation * A[l])
        curvature[0] += 4.0 * deviation * deviation * known * known
    return deviation


cdef int set_inverse(Context* c, Search* s, double by_theta) noexcept nogil:
    """Set the inverse Hessian to that of gamma at the last point, and `by_theta`."""
    cdef double[MAX_K * MAX_K] M, inverse
    cdef Py_ssize_t a, b, p = c.p
    if not fixed_inverse(c, M, inverse):
        return UNUSUAL
    s.H[0][0] = by_theta
    for a in range(p):
        s.H[0][1 + a] = s.H[1 + a][0] = 0.0
        for b in range(p):
            s.H[1 + a][1 + b] = 0.5 * inverse[a * p + b] / (c.scale[1 + a] * c.scale[1 + b])
    return FINE


cdef int begin(Context* c, const Plan* plan, Search* s, double* nested) noexcept nogil:
    """Begin a search where the model without random effects says, with -2 log-likelihood `nested`."""
    cdef double[MAX_K] gamma, step
    cdef double[MAX_K * MAX_K] M
    cdef double loglik, deviation, curvature
    cdef Py_ssize_t a
    starting_predictors(c, c.fixed)
    loglik = scoring(c, c.fixed, plan.n_steps, gamma, M, step)
    if not isfinite(loglik):
        return UNUSUAL
    deviation = score_deviation(c, plan.smallest, &curvature)
    s.objective, s.context, s.k, s.rounding = objective, c, 1 + c.p, 0.0
    s.x[0] = deviation / c.scale[0]
    for a in range(c.p):
        s.x[1 + a] = gamma[a] / c.scale[1 + a]
    nested[0] = -2.0 * (settled(c, loglik, plan.most, plan.gain, gamma, M, step) + c.constant)
    if objective(c, s.x, &s.f, s.g, &s.rounding) != FINE or not isfinite(s.f):
        return UNUSUAL
    return set_inverse(c, s, 1.0 / (curvature * c.scale[0] * c.scale[0]))


cdef int search(Context* c, const Plan* plan, Search* s, Py_ssize_t* n_evaluations) noexcept nogil:
    """Search roughly, then for the optimum itself, and leave the conditional modes there."""
    cdef double start = s.x[0], f, rounding
    cdef double[MAX_K] g
    if minimize(s, plan.rough, plan.max_step) != FINE:
        return UNUSUAL
    n_evaluations[0] = 1 + s.n_evaluations
    if fabs(s.x[0] - start) > plan.moved * fabs(start):
        # Curvatures at the start say little about those here.
        if objective(c, s.x, &f, g, &rounding) != FINE or set_inverse(c, s, s.H[0][0]) != FINE:
            return UNUSUAL
    if minimize(s, plan.tolerance, plan.max_step) != FINE:
        return UNUSUAL
    n_evaluations[0] += s.n_evaluations
    return objective(c, s.x, &f, g, &rounding)


cdef bint set_rule(Nodes* rule, const double* x, Py_ssize_t K, Py_ssize_t longest) noexcept nogil:
    """Make room for a rule in one dimension; the scores at its nodes follow rule.p."""
    rule.K, rule.x = K, x
    rule.columns = <double*> malloc(K * (6 + longest) * sizeof(double))
    if rule.columns == NULL:
        return False
    memcpy(rule.columns, x, K * sizeof(double))
    rule.moved, rule.at, rule.e = rule.columns + K, rule.columns + 2 * K, rule.columns + 3 * K
    rule.product, rule.p = rule.columns + 4 * K, rule.columns + 5 * K
    return True


cdef double level_look(
    Context* c, Py_ssize_t l, const Nodes* rule, const double* log_weights, const double* signs
) noexcept nogil:
    """Return the log-integral of one level by quadrature around its mode, and add its part of the gradient."""
    cdef Py_ssize_t a = c.starts[l], m = c.starts[l + 1] - a, S = c.S, n = c.n
    cdef double* zeta = c.work + 2 * S * S + 4 * S + 2 * m
    cdef double* raw = zeta + S * m
    cdef double* d1 = rule.p + rule.K
    cdef const double* at = c.found + a
    cdef const double* half = c.half + l * S * S
    cdef double[4] work
    cdef double omega, shift, found
    cdef Rows rows
    rows.m, rows.S, rows.kind = m, S, c.kind
    rows.y, rows.w, rows.fixed, rows.zeta = c.y + a, c.w + a, NULL, zeta
    columns_of(c.Z + a * S, m, S, raw)
    spherical(raw, c.T, m, S, zeta)
    found = nodes_of_level(&rows, at, c.u + l * S, half, log_weights, signs, rule, d1)
    node_cotangents(&rows, raw, c.T, half, rule, d1, c.residual + a, &shift, &omega, c.dT, work)
    inner_products(half, S, c.work)
    level_pullback(
        m, S, raw, zeta, c.u + l * S, at + n, at + 2 * n, at + 3 * n,
        c.work, &omega, &shift, c.residual + a, c.dT, c.work + S * S,
    )
    return found


cdef double largest_move(const Search* s, const double* g) noexcept nogil:
    """Return the largest step, in standard errors, that a gradient asks for."""
    cdef Py_ssize_t k
    cdef double move = 0.0
    for k in range(s.k):
        if s.H[k][k] > 0.0:
            move = max(move, fabs(dot(s.H[k], g, s.k)) / sqrt(2.0 * s.H[k][k]))
    return move


cdef double look(
    Context* c, const Nodes* rule, const double* log_weights, const double* signs, double* g
) noexcept nogil:
    """Return -2 log-likelihood by quadrature at the last point, and its gradient."""
    cdef Py_ssize_t l
    cdef double total = 0.0
    memset(c.dT, 0, c.S * c.S * sizeof(double))
    for l in range(c.q):
        total += level_look(c, l, rule, log_weights, signs)
    set_gradient(c, g)
    return -2.0 * total + c.log_det - 2.0 * c.constant


cdef bint never_varies(const Context* c) noexcept nogil:
    """Tell whether a binomial response is the same in all trials of every level, and some have several."""
    cdef Py_ssize_t l, i
    cdef double trials, successes
    cdef bint has_several = False
    if c.kind != LOGIT:
        return False
    for l in range(c.q):
        trials = successes = 0.0
        for i in range(c.starts[l], c.starts[l + 1]):
            trials += c.w[i]
            successes += c.w[i] * c.y[i]
        if successes != 0.0 and successes != trials:
            return False
        has_several |= trials > 1.0
    return has_several


def course(
    LevelObjective objective,
    const double[::1] scale,
    tuple start,
    tuple steps,
    const double[:, ::1] nodes,
    const double[::1] log_weights,
    const double[::1] signs,
):
    cdef Context* c = &objective.c
    cdef Plan plan
    cdef Search s
    cdef Nodes rule
    cdef Py_ssize_t l, n = c.n, p = c.p, longest = 0, n_evaluations = 0
    cdef double nested, value = 0.0, move = 0.0
    cdef double[::1] slope = np.empty(p + 1)
    cdef int status
    cdef double[::1] eta = np.empty(n)
    cdef double[:, ::1] M = np.empty((p + 1, p + 1)), inverse = np.empty((p, p)), H = np.empty((p + 1, p + 1))
    if c.S != 1 or 1 + p > MAX_K:
        return None
    plan.n_steps, plan.most, plan.gain, plan.smallest = start
    plan.rough, plan.moved, plan.tolerance, plan.max_step = steps
    for l in range(c.q):
        longest = max(longest, c.starts[l + 1] - c.starts[l])
    if not set_rule(&rule, &nodes[0, 0], nodes.shape[0], longest):
        raise MemoryError()
    c.scale = &scale[0]
    with nogil:
        status = begin(c, &plan, &s, &nested)
        if status == FINE:
            status = search(c, &plan, &s, &n_evaluations)
        if status == FINE:
            memcpy(&eta[0], c.found, n * sizeof(double))
            if p and not fixed_inverse(c, &M[0, 0], &inverse[0, 0]):
                status = UNUSUAL
        if status == FINE:
            set_hessian(c, &H[0, 0])
            value = look(c, &rule, &log_weights[0], &signs[0], &slope[0])
            move = largest_move(&s, &slope[0])
    free(rule.columns)
    if status != FINE:
        return None
    looked = (value, slope.base, move)
    return found_by(&s), n_evaluations, nested, looked, never_varies(c), eta.base, inverse.base, H.base
