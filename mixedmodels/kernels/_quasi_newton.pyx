# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twin of mixedmodels/optimization/quasi_newton.py, for objectives that are compiled themselves.

It goes the usual course of a search and no other: where the readable one would restart, stall or give up,
this one returns UNUSUAL, and the readable one begins again from the same start.
"""

from libc.math cimport INFINITY, copysign, fabs, isfinite, sqrt
from libc.string cimport memcpy, memset

# As in mixedmodels/optimization/quasi_newton.py, see there.
cdef double DECREASE = 1e-4
cdef double CURVATURE = 0.9
cdef double NOISE = 1e-13
cdef double STEEPEST = 1e150
cdef double LEAST_CURVATURE = 1e-12
cdef double SAME_POINT = 1e-15
cdef enum:
    MAX_LINE_SEARCH = 30
    MAX_STALLS = 4


cdef struct Trial:
    # A point along a line: the length of the step, and the objective, its gradient and its slope there.
    double t, f, slope
    double[MAX_K] g


cdef double dot(const double* a, const double* b, Py_ssize_t k) noexcept nogil:
    cdef Py_ssize_t i
    cdef double t = 0.0
    for i in range(k):
        t += a[i] * b[i]
    return t


cdef double largest(const double* a, Py_ssize_t k) noexcept nogil:
    cdef Py_ssize_t i
    cdef double t = 0.0
    for i in range(k):
        t = max(t, fabs(a[i]))
    return t


cdef int evaluate(Search* s, const double* direction, Trial* trial) noexcept nogil:
    """Evaluate a point along a line; one that cannot be computed is infinitely bad."""
    cdef Py_ssize_t i
    cdef int status
    cdef double[MAX_K] x
    for i in range(s.k):
        x[i] = s.x[i] + trial.t * direction[i]
    if s.n_evaluations == MAX_TRIALS:
        return UNUSUAL
    status = s.objective(s.context, x, &trial.f, trial.g, &s.rounding)
    if status == UNUSUAL:
        return UNUSUAL
    if status == INFINITE or not (isfinite(trial.f) and largest(trial.g, s.k) < STEEPEST):
        trial.f = INFINITY
        memset(trial.g, 0, s.k * sizeof(double))
    s.tried[s.n_evaluations] = trial.f
    s.n_evaluations += 1
    trial.slope = dot(trial.g, direction, s.k)
    return FINE


cdef double between(const Trial* a, const Trial* b) noexcept nogil:
    """Return the minimiser of the cubic through two points, kept well inside the interval."""
    cdef double width = b.t - a.t, d, radicand, t, root, denominator
    if not isfinite(b.f):
        return a.t + 0.1 * width
    d = a.slope + b.slope - 3.0 * (a.f - b.f) / (a.t - b.t)
    radicand = d * d - a.slope * b.slope
    t = a.t + 0.5 * width
    if radicand >= 0.0:
        root = copysign(sqrt(radicand), width)
        denominator = b.slope - a.slope + 2.0 * root
        if denominator != 0.0:
            t = b.t - width * (b.slope + root - d) / denominator
    return a.t + min(max((t - a.t) / width, 0.1), 0.9) * width


cdef int line_search(Search* s, const double* direction, double slope, double longest, Trial* best) noexcept nogil:
    """Find a point with enough decrease and flattening."""
    cdef Trial low, high, new
    cdef bint bracketed = False, found = False, decreased
    cdef double t = min(1.0, longest), noise = NOISE * max(1.0, fabs(s.f)) + s.rounding
    low.t, low.f, low.slope = 0.0, s.f, slope
    for _ in range(MAX_LINE_SEARCH):
        # 1. Try a step t; it will do if the objective falls enough, or is flat to within its rounding.
        new.t = t
        if evaluate(s, direction, &new) == UNUSUAL:
            return UNUSUAL
        decreased = new.f <= s.f + DECREASE * t * slope or (
            new.f <= s.f + noise and fabs(new.slope) <= CURVATURE * fabs(slope)
        )
        if decreased and (not found or new.f < best.f):
            best[0], found = new, True
        # 2. Too long: an upper end of the bracket. Flat enough: done. Too short: its lower end.
        if not decreased or new.f > low.f + noise:
            high, bracketed = new, True
        elif fabs(new.slope) <= -CURVATURE * slope:
            best[0] = new
            return FINE
        else:
            if new.slope > 0.0:
                high, bracketed = low, True
            low = new
            if not bracketed and t >= longest:
                break
        # 3. Go on further out until there is a bracket, then inside it.
        t = between(&low, &high) if bracketed else min(4.0 * t, longest)
        if t == low.t or (bracketed and t == high.t):
            break
        if bracketed and fabs(high.t - low.t) * largest(direction, s.k) < SAME_POINT:
            break
    return FINE if found else UNUSUAL


cdef void update(Search* s, const double* step, const double* change) noexcept nogil:
    """Update the inverse Hessian by BFGS, unless the curvature is not positive."""
    cdef Py_ssize_t i, j, k = s.k
    cdef double curvature = dot(step, change, k), scale
    cdef double[MAX_K] w
    if curvature <= LEAST_CURVATURE * sqrt(dot(step, step, k) * dot(change, change, k)):
        return
    for i in range(k):
        w[i] = dot(s.H[i], change, k)
    scale = 0.5 * (1.0 + dot(change, w, k) / curvature)
    for i in range(k):
        w[i] = scale * step[i] - w[i]
    for i in range(k):
        for j in range(i + 1):
            s.H[i][j] += (step[i] * w[j] + step[j] * w[i]) / curvature
            s.H[j][i] = s.H[i][j]


cdef double descent(const Search* s, double* direction) noexcept nogil:
    """Set the quasi-Newton direction and return the slope along it."""
    cdef Py_ssize_t i
    for i in range(s.k):
        direction[i] = -dot(s.H[i], s.g, s.k)
    return dot(direction, s.g, s.k)


cdef int accept(Search* s) noexcept nogil:
    """Note the point at which the search is."""
    if s.n_points == MAX_POINTS:
        return UNUSUAL
    memcpy(s.points[s.n_points], s.x, s.k * sizeof(double))
    s.values[s.n_points] = s.f
    s.n_points += 1
    return FINE


cdef int minimize(Search* s, double tolerance, double max_step) noexcept nogil:
    """Minimise from where the search is, its objective, gradient and inverse Hessian there known."""
    cdef Py_ssize_t i, stalls = 0
    cdef double slope, longest, least = INFINITY
    cdef Trial trial
    cdef double[MAX_K] direction
    cdef double[MAX_K] step
    cdef double[MAX_K] change
    s.n_evaluations = s.n_points = 0
    accept(s)
    while True:
        slope = descent(s, direction)
        if not slope <= 0.0:
            return UNUSUAL
        if -slope / 2.0 <= tolerance:
            break
        longest = max_step / largest(direction, s.k) if isfinite(max_step) else INFINITY
        if line_search(s, direction, slope, longest, &trial) == UNUSUAL:
            return UNUSUAL
        least = min(least, -slope / 2.0)
        stalls = stalls + 1 if trial.f >= s.f and -slope / 2.0 > least else 0
        for i in range(s.k):
            step[i] = trial.t * direction[i]
            change[i] = trial.g[i] - s.g[i]
            s.x[i] += step[i]
        update(s, step, change)
        s.f = trial.f
        memcpy(s.g, trial.g, s.k * sizeof(double))
        if accept(s) == UNUSUAL or stalls == MAX_STALLS:
            return UNUSUAL
    s.decrement = -slope / 2.0
    for i in range(s.k):
        if s.H[i][i] < 0.0:
            return UNUSUAL
    return FINE
