# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""One effect for each level: what the loops of _levels.pyx do for several, and second derivatives.

With the effect u of a level, eta = x'gamma + t z u and W the information of a row about eta, a level adds to the
Laplace approximation ``u^2 - 2 sum log f + log h``, ``h = 1 + t^2 sum W z^2``, at the mode ``u = t sum z d1``.
"""

from libc.math cimport INFINITY, copysign, exp, fabs, log, sqrt
from libc.string cimport memset

from mixedmodels.kernels._level_context cimport Context
from mixedmodels.kernels._quasi_newton cimport MAX_K

cdef enum:
    LOGIT = 0
    MAX_STEPS = 50
    MAX_HALVINGS = 8

# As in _levels.pyx, see there.
cdef double DECREMENT = 1e-22
cdef double ROUNDING = 1e-14
cdef double SHORT = 0.5
cdef double LARGEST_EXPONENT = 700.0
cdef double LARGEST_PRODUCT = 1e150


cdef inline double clamped(double eta) noexcept nogil:
    return min(max(eta, -LARGEST_EXPONENT), LARGEST_EXPONENT)


cdef inline double times(double product, double factor, double* total) noexcept nogil:
    """Return a product, its logarithm taken from `total` before it can overflow."""
    product *= factor
    if product > LARGEST_PRODUCT:
        total[0] -= log(product)
        product = 1.0
    return product


cdef double newton_step(Context* c, Py_ssize_t l, double u, double* h, double* largest) noexcept nogil:
    """Return the Newton step of u; sets h, the largest |t z|, and eta, d1 and W of the rows."""
    cdef Py_ssize_t i, n = c.n
    cdef double t = c.T[0], score = 0.0, curvature = 0.0, z, eta, e, s, up, down
    cdef double* d1 = c.found + n
    cdef double* W = c.found + 2 * n
    largest[0] = 0.0
    for i in range(c.starts[l], c.starts[l + 1]):
        z = t * c.Z[i]
        eta = c.fixed[i] + u * z
        c.found[i] = eta
        if c.kind == LOGIT:
            e = exp(-fabs(eta))
            s = 1.0 / (1.0 + e)
            up = s if eta > 0.0 else e * s
            down = e * s if eta > 0.0 else s
            d1[i] = c.w[i] * (c.y[i] * down - (1.0 - c.y[i]) * up)
            W[i] = c.w[i] * up * down
            # Until slopes() needs it.
            W[n + i] = e
        else:
            W[i] = c.w[i] * exp(clamped(eta))
            d1[i] = c.w[i] * c.y[i] - W[i]
        score += z * d1[i]
        curvature += z * z * W[i]
        largest[0] = max(largest[0], fabs(z))
    h[0] = 1.0 + curvature
    return (score - u) / h[0]


cdef double penalized(const Context* c, Py_ssize_t l, double u) noexcept nogil:
    """Return ``u^2 - 2 sum log f`` of a level."""
    cdef Py_ssize_t i
    cdef double total = 0.0, product = 1.0, eta, e
    for i in range(c.starts[l], c.starts[l + 1]):
        eta = c.fixed[i] + u * c.T[0] * c.Z[i]
        if c.kind == LOGIT:
            e = exp(-fabs(eta))
            total += c.w[i] * (c.y[i] * eta - max(eta, 0.0))
            if c.w[i] == 1.0:
                product = times(product, 1.0 + e, &total)
            else:
                total -= c.w[i] * log(1.0 + e)
        else:
            eta = clamped(eta)
            total += c.w[i] * (c.y[i] * eta - exp(eta))
    return u * u - 2.0 * (total - log(product))


cdef double shortened(const Context* c, Py_ssize_t l, double u, double step) noexcept nogil:
    """Return a step that is halved until the penalized log-likelihood grows; zero where it does not soon."""
    cdef double current = penalized(c, l, u)
    cdef Py_ssize_t k
    for k in range(MAX_HALVINGS):
        if penalized(c, l, u + step) < current:
            return step
        step *= 0.5
    return 0.0


cdef double slopes(Context* c, Py_ssize_t l) noexcept nogil:
    """Return the log-likelihood of a level, and set dW / d eta of its rows."""
    cdef Py_ssize_t i
    cdef double total = 0.0, product = 1.0, e, eta
    cdef const double* W = c.found + 2 * c.n
    cdef double* slope = c.found + 3 * c.n
    for i in range(c.starts[l], c.starts[l + 1]):
        eta = c.found[i]
        if c.kind == LOGIT:
            e = slope[i]
            total += c.w[i] * (c.y[i] * eta - max(eta, 0.0))
            if c.w[i] == 1.0:
                product = times(product, 1.0 + e, &total)
            else:
                total -= c.w[i] * log(1.0 + e)
            slope[i] = W[i] * copysign((1.0 - e) / (1.0 + e), -eta)
        else:
            total += c.w[i] * c.y[i] * clamped(eta) - W[i]
            slope[i] = W[i]
    return total - log(product)


cdef void pullback(Context* c, Py_ssize_t l, double h) noexcept nogil:
    """Set the derivatives in eta of a level, the movement of the mode counted, and add that in t."""
    cdef Py_ssize_t i
    cdef double t = c.T[0], u = c.u[l], pull = 0.0, moved, z, total
    cdef double by_residual = 0.0, by_score = 0.0, information = 0.0
    cdef const double* d1 = c.found + c.n
    cdef const double* W = c.found + 2 * c.n
    cdef const double* slope = c.found + 3 * c.n
    for i in range(c.starts[l], c.starts[l + 1]):
        z = t * c.Z[i]
        c.residual[i] = slope[i] * z * z / h
        pull += c.residual[i] * z
    moved = pull / h
    for i in range(c.starts[l], c.starts[l + 1]):
        z = c.Z[i]
        total = c.residual[i] - 2.0 * d1[i] - W[i] * moved * t * z
        c.residual[i] = total
        by_residual += z * total
        by_score += z * d1[i]
        information += z * z * W[i]
    c.dT[0] += by_residual * u + by_score * moved + 2.0 * t * information / h


cdef bint at_scalar_level(Context* c, Py_ssize_t l, double* loglik) noexcept nogil:
    """Find the mode of a level, and add its log-likelihood and its part of the gradient.

    False where no step leads on: that is for the loop over any number of effects.
    """
    cdef double u = c.u[l], previous = INFINITY, h, largest, step, squared, size
    cdef Py_ssize_t k
    for k in range(MAX_STEPS):
        step = newton_step(c, l, u, &h, &largest)
        squared, size = step * step * h, 1.0 + u * u
        if squared <= DECREMENT * size or (squared <= ROUNDING * size and squared > 0.25 * previous):
            c.u[l], c.half[l] = u, 1.0 / sqrt(h)
            loglik[0] += slopes(c, l)
            pullback(c, l, h)
            return True
        # Not a number counts as long.
        if not fabs(step) * largest <= SHORT:
            step = shortened(c, l, u, step)
            if step == 0.0:
                return False
        previous, u = squared, u + step
    return False


cdef inline double curve(const Context* c, Py_ssize_t i) noexcept nogil:
    """Return the second derivative of W in eta."""
    cdef double W = c.found[2 * c.n + i]
    if c.kind == LOGIT and W > 0.0:
        return W * (1.0 - 6.0 * W / c.w[i])
    return W


cdef double mode_moves(Context* c, Py_ssize_t l, double* moves, double* sums) noexcept nogil:
    """Set how the mode moves with (t, gamma) and the sums of z d1, W z^2 and dW z^3; return h.

    Of G = u - t sum z d1 = 0 the derivative in u is h.
    """
    cdef Py_ssize_t i, a
    cdef double t = c.T[0], h, z, W
    memset(moves, 0, (1 + c.p) * sizeof(double))
    memset(sums, 0, 3 * sizeof(double))
    for i in range(c.starts[l], c.starts[l + 1]):
        z, W = c.Z[i], c.found[2 * c.n + i]
        sums[0] += z * c.found[c.n + i]
        sums[1] += z * z * W
        sums[2] += z * z * z * c.found[3 * c.n + i]
        for a in range(c.p):
            moves[1 + a] -= t * W * z * c.Q[a * c.n + i]
    h = 1.0 + t * t * sums[1]
    moves[0] = sums[0] - t * c.u[l] * sums[1]
    for a in range(1 + c.p):
        moves[a] /= h
    return h


cdef void add_level_hessian(Context* c, Py_ssize_t l, double* H) noexcept nogil:
    """Add what a level has of the Hessian in (t, gamma) at its mode, lower triangle, by the chain rule in u."""
    cdef Py_ssize_t i, a, b, n = c.n, k = 1 + c.p
    cdef double[MAX_K] moves, e, by_slope, by_W
    cdef double[3] sums
    cdef double t = c.T[0], h = mode_moves(c, l, moves, sums), z, W, slope, weight
    # The derivative in u, over h: what the second derivatives of the mode are taken with.
    cdef double pull = t * t * t * sums[2] / (h * h)
    cdef double with_u = -2.0 * sums[0] + t * t * sums[2] / h - pull * t * sums[1]
    memset(by_slope, 0, k * sizeof(double))
    memset(by_W, 0, k * sizeof(double))
    # 1. Through eta, whose derivatives are e.
    for i in range(c.starts[l], c.starts[l + 1]):
        z, W, slope = c.Z[i], c.found[2 * n + i], c.found[3 * n + i]
        e[0] = z * (c.u[l] + t * moves[0])
        for a in range(c.p):
            e[1 + a] = c.Q[a * n + i] + t * z * moves[1 + a]
        weight = 2.0 * W + t * t * z * z * curve(c, i) / h - pull * t * slope * z
        for a in range(k):
            by_slope[a] += slope * z * z * e[a]
            by_W[a] += W * z * e[a]
            for b in range(a + 1):
                H[a * k + b] += weight * e[a] * e[b]
    # 2. Through u^2 and the logarithm of h.
    for a in range(k):
        e[a] = (t * t * by_slope[a] + (2.0 * t * sums[1] if a == 0 else 0.0)) / h
        for b in range(a + 1):
            H[a * k + b] += 2.0 * moves[a] * moves[b] - e[a] * e[b]
    # 3. Through t, which stands beside u and in h itself.
    for a in range(k):
        weight = with_u * moves[a] + 2.0 * t * by_slope[a] / h - pull * by_W[a]
        H[a * k] += weight if a else 2.0 * weight + 2.0 * sums[1] / h


cdef void set_hessian(Context* c, double* H) noexcept nogil:
    """Set the Hessian in (t, gamma) at the last point of objective(), shape (1 + p, 1 + p)."""
    cdef Py_ssize_t k = 1 + c.p, l, a, b
    memset(H, 0, k * k * sizeof(double))
    for l in range(c.q):
        add_level_hessian(c, l, H)
    for a in range(k):
        for b in range(a):
            H[b * k + a] = H[a * k + b]
