# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The loops of mixedmodels/kernels/levels.py; see there."""

from libc.math cimport INFINITY, copysign, exp, fabs, isfinite, log, sqrt
from libc.stdlib cimport free, malloc

cdef enum:
    LOGIT = 0
    MAX_STEPS = 200
    MAX_HALVINGS = 60

cdef double DECREMENT = 1e-22
cdef double ROUNDING = 1e-14
cdef double SHORT = 0.5
cdef double LARGEST_EXPONENT = 700.0
# A product of numbers below it is turned into a logarithm before it can overflow.
cdef double LARGEST_PRODUCT = 1e150


cdef inline double clamped(double eta) noexcept nogil:
    return min(max(eta, -LARGEST_EXPONENT), LARGEST_EXPONENT)


cdef inline double dot(const double* a, const double* b, Py_ssize_t n) noexcept nogil:
    cdef double total = 0.0
    cdef Py_ssize_t k
    for k in range(n):
        total += a[k] * b[k]
    return total


cdef inline double long_dot(const double* a, const double* b, Py_ssize_t n) noexcept nogil:
    # Four sums at a time: one would wait for itself.
    cdef double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0
    cdef Py_ssize_t k = 0
    while k + 4 <= n:
        s0 += a[k] * b[k]
        s1 += a[k + 1] * b[k + 1]
        s2 += a[k + 2] * b[k + 2]
        s3 += a[k + 3] * b[k + 3]
        k += 4
    while k < n:
        s0 += a[k] * b[k]
        k += 1
    return (s0 + s1) + (s2 + s3)


cdef inline double log_of_one_and(double w, double e, double* product) noexcept nogil:
    # w log(1 + e); a row of unit weight multiplies `product` instead, whose logarithm is taken once.
    cdef double total = 0.0
    if w != 1.0:
        return w * log(1.0 + e)
    product[0] *= 1.0 + e
    if product[0] > LARGEST_PRODUCT:
        total = log(product[0])
        product[0] = 1.0
    return total


cdef double log_likelihood(const Rows* rows, const double* eta) noexcept nogil:
    cdef double total = 0.0, product = 1.0, t
    cdef Py_ssize_t i
    for i in range(rows.m):
        if rows.kind == LOGIT:
            total += rows.w[i] * (rows.y[i] * eta[i] - max(eta[i], 0.0))
            total -= log_of_one_and(rows.w[i], exp(-fabs(eta[i])), &product)
        else:
            t = clamped(eta[i])
            total += rows.w[i] * (rows.y[i] * t - exp(t))
    return total - log(product)


cdef void derivatives(const Rows* rows, const double* eta, double* d1, double* W, double* e) noexcept nogil:
    # Score and information; for the logit e holds exp(-|eta|) until `finish` needs it.
    cdef double s, small, mean
    cdef Py_ssize_t i
    for i in range(rows.m):
        if rows.kind == LOGIT:
            e[i] = exp(-fabs(eta[i]))
            s = 1.0 / (1.0 + e[i])
            small = e[i] * s
            if eta[i] > 0.0:
                d1[i] = rows.w[i] * (rows.y[i] * small - (1.0 - rows.y[i]) * s)
            else:
                d1[i] = rows.w[i] * (rows.y[i] * s - (1.0 - rows.y[i]) * small)
            W[i] = rows.w[i] * s * small
        else:
            mean = rows.w[i] * exp(clamped(eta[i]))
            d1[i] = rows.w[i] * rows.y[i] - mean
            W[i] = mean


cdef double finish(
    const Rows* rows, const double* eta, const double* d1, const double* W, double* slope
) noexcept nogil:
    # Log-likelihood from what `derivatives` left, and dW / d eta.
    cdef double total = 0.0, product = 1.0, e
    cdef Py_ssize_t i
    for i in range(rows.m):
        if rows.kind == LOGIT:
            e = slope[i]
            total += rows.w[i] * (rows.y[i] * eta[i] - max(eta[i], 0.0))
            total -= log_of_one_and(rows.w[i], e, &product)
            slope[i] = W[i] * copysign((1.0 - e) / (1.0 + e), -eta[i])
        else:
            total += rows.w[i] * rows.y[i] * clamped(eta[i]) - W[i]
            slope[i] = W[i]
    return total - log(product)


cdef double predictors(const Rows* rows, const double* u, const double* old, double* eta) noexcept nogil:
    # eta at u; returns the largest change from `old`.
    cdef double largest = 0.0, change
    cdef const double* z
    cdef Py_ssize_t i, s
    for i in range(rows.m):
        eta[i] = rows.fixed[i]
    for s in range(rows.S):
        z = rows.zeta + s * rows.m
        for i in range(rows.m):
            eta[i] += u[s] * z[i]
    if old == NULL:
        return 0.0
    for i in range(rows.m):
        change = fabs(eta[i] - old[i])
        # Not a number counts as far.
        if not change <= largest:
            largest = change
    return largest


cdef void columns_of(const double* Z, Py_ssize_t m, Py_ssize_t S, double* raw) noexcept nogil:
    # The rows of one level, coefficient by coefficient.
    cdef Py_ssize_t i, s
    for s in range(S):
        for i in range(m):
            raw[s * m + i] = Z[i * S + s]


cdef void spherical(
    const double* raw, const double* T, Py_ssize_t m, Py_ssize_t S, double* zeta
) noexcept nogil:
    # T'z of the rows of one level, coefficient by coefficient, T lower triangular.
    cdef Py_ssize_t i, s, t
    cdef double factor
    cdef const double* z
    for s in range(S):
        for i in range(m):
            zeta[s * m + i] = T[s * S + s] * raw[s * m + i]
        for t in range(s + 1, S):
            factor, z = T[t * S + s], raw + t * m
            for i in range(m):
                zeta[s * m + i] += factor * z[i]


cdef void half_inverse(double* H, Py_ssize_t S, double* half) noexcept nogil:
    # Cholesky factor of the lower triangle of H, in place, and its inverse.
    cdef Py_ssize_t i, j, k
    cdef double total
    for j in range(S):
        total = H[j * S + j]
        for k in range(j):
            total -= H[j * S + k] * H[j * S + k]
        H[j * S + j] = sqrt(total)
        for i in range(j + 1, S):
            total = H[i * S + j]
            for k in range(j):
                total -= H[i * S + k] * H[j * S + k]
            H[i * S + j] = total / H[j * S + j]
    for j in range(S):
        for i in range(j):
            half[i * S + j] = 0.0
        half[j * S + j] = 1.0 / H[j * S + j]
        for i in range(j + 1, S):
            total = 0.0
            for k in range(j, i):
                total += H[i * S + k] * half[k * S + j]
            half[i * S + j] = -total / H[i * S + i]


cdef double newton_step(
    const Rows* rows, const double* u, const double* d1, const double* W, double* H, double* half,
    double* score, double* step, double* weighted
) noexcept nogil:
    # The step Omega^-1 (Lambda'Z'd1 - u); returns its squared length in the metric of Omega.
    cdef Py_ssize_t i, s, t, S = rows.S, m = rows.m
    cdef const double* z
    cdef double part, squared = 0.0
    for s in range(S):
        z = rows.zeta + s * m
        score[s] = long_dot(d1, z, m) - u[s]
        for i in range(m):
            weighted[i] = W[i] * z[i]
        for t in range(s + 1):
            H[s * S + t] = long_dot(weighted, rows.zeta + t * m, m)
        H[s * S + s] += 1.0
    half_inverse(H, S, half)
    for s in range(S):
        step[s] = 0.0
    for s in range(S):
        part = dot(half + s * S, score, s + 1)
        squared += part * part
        for t in range(s + 1):
            step[t] += half[s * S + t] * part
    return squared


cdef int level_mode(
    const Rows* rows, double* u, double* eta, double* d1, double* W, double* slope, double* half,
    double* work
) noexcept nogil:
    # Newton's method in one level; 0 if the mode was found. `slope` is left to `finish`.
    cdef Py_ssize_t k, s, S = rows.S
    cdef double* H = work
    cdef double* score = work + S * S
    cdef double* step = score + S
    cdef double* trial = step + S
    cdef double* moved = trial + S
    cdef double previous = INFINITY, squared, size, length, current
    predictors(rows, u, NULL, eta)
    for k in range(MAX_STEPS):
        derivatives(rows, eta, d1, W, slope)
        squared = newton_step(rows, u, d1, W, H, half, score, step, moved)
        if not isfinite(squared):
            return 1
        size = 1.0 + dot(u, u, S)
        if squared <= DECREMENT * size or (squared <= ROUNDING * size and squared > 0.25 * previous):
            return 0
        previous = squared
        for s in range(S):
            trial[s] = u[s] + step[s]
        if not predictors(rows, trial, eta, moved) <= SHORT:
            current = dot(u, u, S) - 2.0 * log_likelihood(rows, eta)
            length = 1.0
            while not dot(trial, trial, S) - 2.0 * log_likelihood(rows, moved) < current:
                length *= 0.5
                if length < 0.5 ** MAX_HALVINGS:
                    return 0
                for s in range(S):
                    trial[s] = u[s] + length * step[s]
                predictors(rows, trial, eta, moved)
        for s in range(S):
            u[s] = trial[s]
        for s in range(rows.m):
            eta[s] = moved[s]
    return 0


def level_modes(
    int kind, const double[::1] y, const double[::1] weights, const double[::1] fixed,
    const double[:, ::1] Z, const double[:, ::1] T, const Py_ssize_t[::1] starts, double[:, ::1] u,
    double[:, ::1] found, double[:, :, ::1] half
):
    cdef Py_ssize_t q = starts.shape[0] - 1, S = T.shape[0], longest = 0, l, a, s
    cdef double loglik = 0.0, log_det = 0.0, product = 1.0, squares = 0.0
    cdef int failed = 0
    cdef double* work
    cdef double* zeta
    cdef double* raw
    cdef Rows rows
    for l in range(q):
        longest = max(longest, starts[l + 1] - starts[l])
    work = <double*> malloc((S * S + 3 * S + longest * (2 * S + 1) + 1) * sizeof(double))
    if work == NULL:
        raise MemoryError
    zeta = work + S * S + 3 * S + longest
    raw = zeta + longest * S
    with nogil:
        for l in range(q):
            a = starts[l]
            rows.m, rows.S, rows.kind = starts[l + 1] - a, S, kind
            rows.y, rows.w, rows.fixed, rows.zeta = &y[0] + a, &weights[0] + a, &fixed[0] + a, zeta
            columns_of(&Z[0, 0] + a * S, rows.m, S, raw)
            spherical(raw, &T[0, 0], rows.m, S, zeta)
            failed = level_mode(
                &rows, &u[l, 0], &found[0, 0] + a, &found[1, 0] + a, &found[2, 0] + a, &found[3, 0] + a,
                &half[l, 0, 0], work,
            )
            if failed:
                break
            loglik += finish(
                &rows, &found[0, 0] + a, &found[1, 0] + a, &found[2, 0] + a, &found[3, 0] + a
            )
            squares += dot(&u[l, 0], &u[l, 0], S)
            for s in range(S):
                product *= half[l, s, s]
                if product < 1.0 / LARGEST_PRODUCT:
                    log_det -= 2.0 * log(product)
                    product = 1.0
        log_det -= 2.0 * log(product)
    free(work)
    return failed == 0 and isfinite(loglik), loglik, squares, log_det


cdef void inner_products(const double* half, Py_ssize_t S, double* inverse) noexcept nogil:
    # The inverse L^-T L^-1, both halves.
    cdef Py_ssize_t s, t, k
    cdef double total
    for s in range(S):
        for t in range(s + 1):
            total = 0.0
            for k in range(s, S):
                total += half[k * S + s] * half[k * S + t]
            inverse[s * S + t] = total
            inverse[t * S + s] = total


cdef void level_pullback(
    Py_ssize_t m, Py_ssize_t S, const double* raw, const double* zeta, const double* u, const double* d1,
    const double* W, const double* slope, const double* inverse, const double* omega, const double* shift,
    double* residual, double* dT, double* work
) noexcept nogil:
    # One level of `level_gradient`; `residual` holds the cotangent of eta and is completed.
    cdef double* pull = work
    cdef double* adjoint = work + S
    cdef double* weighted = work + 2 * S
    cdef double* leverage = work + 3 * S
    cdef double* part = work + 3 * S + m
    cdef const double* z
    cdef Py_ssize_t i, s, t
    cdef double by_residual, by_score, factor
    for i in range(m):
        leverage[i] = 0.0
    for s in range(S):
        z = zeta + s * m
        for t in range(s + 1):
            factor = omega[s * S + t] if s == t else 2.0 * omega[s * S + t]
            for i in range(m):
                leverage[i] += factor * z[i] * zeta[t * m + i]
    for i in range(m):
        leverage[i] *= slope[i]
        residual[i] += leverage[i]
        part[i] = 0.0
    for s in range(S):
        pull[s] = long_dot(leverage, zeta + s * m, m) + (shift[s] if shift != NULL else 0.0)
    for s in range(S):
        adjoint[s] = dot(inverse + s * S, pull, S)
        for i in range(m):
            part[i] += adjoint[s] * zeta[s * m + i]
    for i in range(m):
        residual[i] -= W[i] * part[i]
    for s in range(S):
        z = raw + s * m
        by_residual, by_score = long_dot(z, residual, m), long_dot(z, d1, m)
        for i in range(m):
            part[i] = W[i] * z[i]
        for t in range(S):
            weighted[t] = long_dot(part, zeta + t * m, m)
        for t in range(S):
            dT[s * S + t] += by_residual * u[t] + by_score * adjoint[t]
            dT[s * S + t] += 2.0 * dot(weighted, omega + t * S, S)


def level_gradient(
    const double[:, ::1] Z, const double[:, ::1] T, const Py_ssize_t[::1] starts, const double[:, ::1] u,
    const double[:, ::1] found, const double[:, :, ::1] half, const double[:, ::1] shift,
    const double[:, :, ::1] omega, double[::1] residual, double[:, ::1] dT
):
    cdef Py_ssize_t q = starts.shape[0] - 1, S = T.shape[0], longest = 0, l, a
    cdef bint laplace = omega.shape[0] == 0
    cdef double* work
    cdef double* zeta
    cdef double* raw
    cdef const double* direct
    cdef const double* pull
    for l in range(q):
        longest = max(longest, starts[l + 1] - starts[l])
    work = <double*> malloc((S * S + 3 * S + 2 * longest * (S + 1) + 1) * sizeof(double))
    if work == NULL:
        raise MemoryError
    # For the Laplace approximation the derivative in Omega is its inverse, the one in u zero.
    direct, pull = work, NULL
    zeta = work + S * S + 3 * S + 2 * longest
    raw = zeta + longest * S
    with nogil:
        for l in range(q):
            a = starts[l]
            columns_of(&Z[0, 0] + a * S, starts[l + 1] - a, S, raw)
            spherical(raw, &T[0, 0], starts[l + 1] - a, S, zeta)
            inner_products(&half[l, 0, 0], S, work)
            if not laplace:
                direct, pull = &omega[l, 0, 0], &shift[l, 0]
            level_pullback(
                starts[l + 1] - a, S, raw, zeta, &u[l, 0],
                &found[1, 0] + a, &found[2, 0] + a, &found[3, 0] + a,
                work, direct, pull, &residual[0] + a, &dT[0, 0], work + S * S,
            )
    free(work)


cdef void row_at_nodes(double y, double w, int kind, const Nodes* nodes, double* d1) noexcept nogil:
    # Add the log-likelihood of a row to nodes.p (or to their product) and fill its scores.
    cdef Py_ssize_t k
    cdef double inverse
    cdef double* at = nodes.at
    cdef double* e = nodes.e
    if kind != LOGIT:
        for k in range(nodes.K):
            at[k] = clamped(at[k])
            e[k] = exp(at[k])
        for k in range(nodes.K):
            nodes.p[k] += w * (y * at[k] - e[k])
            d1[k] = w * (y - e[k])
        return
    for k in range(nodes.K):
        e[k] = exp(-fabs(at[k]))
    if w == 1.0:
        for k in range(nodes.K):
            nodes.product[k] *= 1.0 + e[k]
    else:
        for k in range(nodes.K):
            nodes.p[k] -= w * log(1.0 + e[k])
    for k in range(nodes.K):
        nodes.p[k] += w * (y * at[k] - (at[k] if at[k] > 0.0 else 0.0))
    for k in range(nodes.K):
        inverse = 1.0 / (1.0 + e[k])
        d1[k] = w * (y - (inverse if at[k] > 0.0 else e[k] * inverse))


cdef double nodes_of_level(
    const Rows* rows, const double* eta, const double* u, const double* half, const double* log_weights,
    const double* signs, const Nodes* nodes, double* d1
) noexcept nogil:
    # Scores at the nodes, (m, K), posterior weights and effects there; returns the log of their sum.
    cdef Py_ssize_t S = rows.S, K = nodes.K, i, k, s, t
    cdef double largest = -INFINITY, total = 0.0, at
    cdef const double* x
    for k in range(K):
        x = nodes.x + k * S
        nodes.product[k] = 1.0
        nodes.p[k] = log_weights[k] + 0.5 * dot(x, x, S)
        for s in range(S):
            at = u[s]
            for t in range(s, S):
                at += half[t * S + s] * x[t]
            nodes.moved[k * S + s] = at
            nodes.p[k] -= 0.5 * at * at
    for i in range(rows.m):
        for k in range(K):
            nodes.at[k] = eta[i]
        for s in range(S):
            at = 0.0
            for t in range(s + 1):
                at += half[s * S + t] * rows.zeta[t * rows.m + i]
            x = nodes.columns + s * K
            for k in range(K):
                nodes.at[k] += at * x[k]
        row_at_nodes(rows.y[i], rows.w[i], rows.kind, nodes, d1 + i * K)
        # Factors are at most two: so many cannot overflow.
        if i % 500 == 499:
            for k in range(K):
                nodes.p[k] -= log(nodes.product[k])
                nodes.product[k] = 1.0
    for k in range(K):
        nodes.p[k] -= log(nodes.product[k])
        largest = max(largest, nodes.p[k])
    for k in range(K):
        nodes.p[k] = signs[k] * exp(nodes.p[k] - largest)
        total += nodes.p[k]
    for k in range(K):
        nodes.p[k] /= total
    return largest + log(total) if total > 0.0 else INFINITY


cdef void node_cotangents(
    const Rows* rows, const double* raw, const double* T, const double* half, const Nodes* nodes,
    const double* d1, double* residual, double* shift, double* omega, double* factors, double* work
) noexcept nogil:
    # Cotangents of eta, u, Omega and T from the averages over the nodes of one level.
    cdef Py_ssize_t S = rows.S, K = nodes.K, i, k, a, b
    cdef const double* p = nodes.p
    cdef const double* moved = nodes.moved
    cdef double* weighted = nodes.at
    cdef double* moment = work
    cdef double* by_level = work + S
    cdef double* K_matrix = work + S + S * S
    cdef double* middle = work + S + 2 * S * S
    cdef double score, total
    for a in range(S):
        shift[a] = 0.0
        for b in range(S):
            by_level[a * S + b] = K_matrix[a * S + b] = 0.0
    for k in range(K):
        for a in range(S):
            shift[a] += 2.0 * p[k] * moved[k * S + a]
            for b in range(S):
                K_matrix[a * S + b] -= p[k] * moved[k * S + a] * nodes.x[k * S + b]
    for i in range(rows.m):
        score = long_dot(p, d1 + i * K, K)
        for k in range(K):
            weighted[k] = p[k] * d1[i * K + k]
        for b in range(S):
            moment[b] = long_dot(weighted, nodes.columns + b * K, K)
        residual[i] = -2.0 * score
        for a in range(S):
            shift[a] -= 2.0 * rows.zeta[a * rows.m + i] * score
            for b in range(S):
                by_level[a * S + b] += raw[a * rows.m + i] * moment[b]
    for a in range(S):
        for b in range(S):
            for k in range(a, S):
                K_matrix[a * S + b] += T[k * S + a] * by_level[k * S + b]
            for k in range(b + 1):
                factors[a * S + k] -= 2.0 * by_level[a * S + b] * half[b * S + k]
    # middle = I + the symmetric part of the lower triangle, diagonal halved, of 2 K'C.
    for a in range(S):
        for b in range(a + 1):
            total = 0.0
            for k in range(b + 1):
                total += K_matrix[k * S + a] * half[b * S + k]
            middle[a * S + b] = middle[b * S + a] = total
        middle[a * S + a] += 1.0
    # Omega's cotangent C middle C', C = L^-T.
    for a in range(S):
        for b in range(S):
            total = 0.0
            for k in range(a, S):
                total += half[k * S + a] * middle[k * S + b]
            K_matrix[a * S + b] = total
    for a in range(S):
        for b in range(S):
            total = 0.0
            for k in range(b, S):
                total += K_matrix[a * S + k] * half[k * S + b]
            omega[a * S + b] = total


def level_nodes(
    int kind, const double[::1] y, const double[::1] weights, const double[:, ::1] Z, const double[:, ::1] T,
    const Py_ssize_t[::1] starts, const double[:, ::1] u, const double[:, ::1] found,
    const double[:, :, ::1] half, const double[:, ::1] nodes, const double[::1] log_weights,
    const double[::1] signs, double[:, ::1] shift, double[:, :, ::1] omega, double[::1] residual,
    double[:, ::1] factors
):
    cdef Py_ssize_t q = starts.shape[0] - 1, S = T.shape[0], K = nodes.shape[0], longest = 0, l, a, k
    cdef double total = 0.0
    cdef double* work
    cdef double* zeta
    cdef double* raw
    cdef double* d1
    cdef Rows rows
    cdef Nodes rule
    for l in range(q):
        longest = max(longest, starts[l + 1] - starts[l])
    work = <double*> malloc(
        (3 * S * S + S + 2 * longest * S + K * (2 * S + 4) + K * longest + 1) * sizeof(double)
    )
    if work == NULL:
        raise MemoryError
    zeta = work + 3 * S * S + S
    raw = zeta + longest * S
    rule.K, rule.x, rule.columns = K, &nodes[0, 0], raw + longest * S
    rule.moved = rule.columns + K * S
    rule.at = rule.moved + K * S
    rule.e, rule.product, rule.p, d1 = rule.at + K, rule.at + 2 * K, rule.at + 3 * K, rule.at + 4 * K
    with nogil:
        for k in range(K):
            for a in range(S):
                rule.columns[a * K + k] = nodes[k, a]
        for l in range(q):
            a = starts[l]
            rows.m, rows.S, rows.kind = starts[l + 1] - a, S, kind
            rows.y, rows.w, rows.fixed, rows.zeta = &y[0] + a, &weights[0] + a, NULL, zeta
            columns_of(&Z[0, 0] + a * S, rows.m, S, raw)
            spherical(raw, &T[0, 0], rows.m, S, zeta)
            total += nodes_of_level(
                &rows, &found[0, 0] + a, &u[l, 0], &half[l, 0, 0], &log_weights[0], &signs[0], &rule, d1
            )
            if not isfinite(total):
                break
            node_cotangents(
                &rows, raw, &T[0, 0], &half[l, 0, 0], &rule, d1,
                &residual[0] + a, &shift[l, 0], &omega[l, 0, 0], &factors[0, 0], work,
            )
    free(work)
    return total
