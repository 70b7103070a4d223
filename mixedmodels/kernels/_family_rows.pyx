# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of mixedmodels/kernels/family_rows.py; see there."""

import numpy as np

from libc.math cimport exp, fabs, floor, log

# A product is taken the logarithm of before it leaves this range.
cdef double LARGE = 1e100
# Predictors up to this size have exponentials that are neither zero nor infinite.
cdef double MOST = 700.0
# Trials up to which rising factorials are products, and rounding of a whole number of them.
cdef double MOST_TERMS = 64.0, WHOLE = 1e-14
# Shapes below it need the care of families/beta_binomial.py.
cdef double SMALLEST = 1e-90


cdef extern from *:
    """
    #include <math.h>
    #include <stdint.h>
    #include <string.h>

    /* exp(x) for -700 < x <= 0, to a unit in the last place or so. No branch and no call, so that compilers
       take several rows at a time. x = n log 2 + r with |r| < 0.35, and the series of exp(r). */
    static inline double exp_of_negative(double x) {
        const double shift = 6755399441055744.0;  /* 1.5 * 2^52: adding it rounds to a whole number */
        double shifted = x * 1.4426950408889634 + shift, n = shifted - shift;
        double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
        double series = 1.6059043836821613e-10;
        uint64_t bits;
        double power;
        series = series * r + 2.08767569878681e-09;
        series = series * r + 2.505210838544172e-08;
        series = series * r + 2.755731922398589e-07;
        series = series * r + 2.7557319223985893e-06;
        series = series * r + 2.48015873015873e-05;
        series = series * r + 1.984126984126984e-04;
        series = series * r + 1.3888888888888889e-03;
        series = series * r + 8.333333333333333e-03;
        series = series * r + 4.1666666666666664e-02;
        series = series * r + 1.6666666666666666e-01;
        series = series * r + 0.5;
        series = series * r * r + r;
        memcpy(&bits, &shifted, sizeof bits);
        bits = (bits + 1023) << 52;
        memcpy(&power, &bits, sizeof power);
        return power + power * series;
    }

    /* log(1 + e) for 0 <= e <= 1: with f = e, or (1 + e) / 2 - 1 above sqrt(2) - 1, and s = f / (2 + f) the
       series log(1 + f) = 2 s + 2 s^3 / 3 + ... in the coefficients of fdlibm (Sun Microsystems 1993). */
    static inline double log_of_one_more(double e) {
        double is_halved = e > 0.41421356237309503 ? 1.0 : 0.0;
        double f = e + is_halved * (0.5 * (e - 1.0) - e);
        double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
        double R = 1.479819860511658591e-01;
        R = R * z + 1.531383769920937332e-01;
        R = R * z + 1.818357216161805012e-01;
        R = R * z + 2.222219843214978396e-01;
        R = R * z + 2.857142874366239149e-01;
        R = R * z + 3.999999999940941908e-01;
        R = R * z + 6.666666666666735130e-01;
        R = R * z;
        return is_halved * 6.93147180369123816490e-01
            - ((half - (s * (half + R) + is_halved * 1.90821492927058770002e-10)) - f);
    }

    /* Where the linker can choose between versions at run time: one for twice as wide registers. */
    #if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__)
    __attribute__((target_clones("avx2", "default")))
    #endif
    static void logit_terms(
        ptrdiff_t n, const double* y, const double* eta, const double* weights,
        double* restrict loglik, double* restrict first, double* restrict information, double* restrict third
    ) {
        ptrdiff_t i;
        for (i = 0; i < n; i++) {
            double x = eta[i], size = fabs(x), e = exp_of_negative(-size);
            double s = 1.0 / (1.0 + e), small = e * s;
            double p = x > 0.0 ? s : small, q = x > 0.0 ? small : s;
            double v = weights[i] * (s * small), above = 0.5 * (x + size);
            loglik[i] = weights[i] * (y[i] * x - (log_of_one_more(e) + above));
            first[i] = weights[i] * (y[i] * q - (1.0 - y[i]) * p);
            information[i] = v;
            third[i] = v * (q - p);
        }
    }
    """
    void logit_terms(
        Py_ssize_t n, const double* y, const double* eta, const double* weights,
        double* loglik, double* first, double* information, double* third
    ) noexcept nogil


def logit_rows(const double[:] y, const double[:] eta, const double[:] weights):
    """Return terms of the log-likelihood, d1, -d2 and -d3."""
    cdef Py_ssize_t n = eta.shape[0], i
    found = np.empty((4, n))
    cdef double[:, ::1] out = found
    cdef bint is_plain = (n < 2) or (
        y.strides[0] == sizeof(double) and eta.strides[0] == sizeof(double) and weights.strides[0] == sizeof(double)
    )
    with nogil:
        if is_plain and n:
            logit_rows_at(n, &y[0], &eta[0], &weights[0], &out[0, 0])
        else:
            for i in range(n):
                logit_row(y[i], eta[i], weights[i], &out[0, i], n)
    return found[0], found[1], found[2], found[3]


cdef void logit_rows_at(
    Py_ssize_t n, const double* y, const double* eta, const double* weights, double* out
) noexcept nogil:
    cdef Py_ssize_t i, n_far = 0
    for i in range(n):
        n_far += not fabs(eta[i]) < MOST
    if not n_far:
        logit_terms(n, y, eta, weights, out, out + n, out + 2 * n, out + 3 * n)
        return
    for i in range(n):
        logit_row(y[i], eta[i], weights[i], out + i, n)


cdef void poisson_rows_at(
    Py_ssize_t n, const double* y, const double* eta, const double* weights, double* out
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double mean
    for i in range(n):
        mean = weights[i] * exp(eta[i])
        out[i] = weights[i] * y[i] * eta[i] - mean
        out[n + i] = weights[i] * y[i] - mean
        out[2 * n + i] = out[3 * n + i] = mean


cdef void logit_row(double y, double x, double weight, double* out, Py_ssize_t n) noexcept nogil:
    """One row anywhere, by the functions of the C library."""
    cdef double e = exp(-fabs(x)), total = 1.0 + e, s = 1.0 / total, small = e * s, p, q, v
    # log(1 + e) with what the sum has rounded away.
    cdef double log_total = log(total) + (e - (total - 1.0)) * s
    if x > 0.0:
        p, q, log_total = s, small, log_total + x
    else:
        p, q = small, s
    v = weight * (s * small)
    out[0] = weight * (y * x - log_total)
    out[n] = weight * (y * q - (1.0 - y) * p)
    out[2 * n] = v
    out[3 * n] = v * (q - p)


cdef struct Jet:
    # A function of log(s) with three derivatives.
    double value, first, second, third


cdef inline Jet rising_of(double count, double s) noexcept nogil:
    """The logarithm of a rising factorial."""
    cdef Jet jet
    cdef double product = 1.0, total, inverse, t, rest, k = count - 1.0
    jet.value = jet.first = jet.second = jet.third = 0.0
    while k >= 0.0:
        total = s + k
        inverse = 1.0 / total
        t = s * inverse
        rest = k * inverse
        jet.first += t
        jet.second += t * rest
        jet.third += t * rest * (rest - t)
        if total > LARGE:
            jet.value += log(total)
        else:
            product *= total
            if product > LARGE:
                jet.value += log(product)
                product = 1.0
        k -= 1.0
    jet.value += log(product)
    return jet


def rising_rows(const double[:] counts, const double[:] s):
    """Return the logarithm of the rising factorial and three derivatives in log(s)."""
    cdef Py_ssize_t n = s.shape[0], i
    found = np.empty((4, n))
    cdef double[:, ::1] out = found
    cdef Jet jet
    with nogil:
        for i in range(n):
            jet = rising_of(counts[i], s[i])
            out[0, i], out[1, i], out[2, i], out[3, i] = jet.value, jet.first, jet.second, jet.third
    return found[0], found[1], found[2], found[3]


cdef inline double whole(double count) noexcept nogil:
    """A count freed from the rounding of a proportion; -1 for none, or one with too many terms."""
    cdef double near = floor(count + 0.5)
    return near if fabs(count - near) <= WHOLE * near and near <= MOST_TERMS else -1.0


def beta_binomial_rows(
    const double[::1] y, const double[::1] eta, const double[::1] weights, double phi, bint in_phi
):
    """Return the terms of the rows with three derivatives in eta, or one and the slopes of two in log(phi)."""
    cdef Py_ssize_t n = eta.shape[0], i, k
    found = np.empty((3 if in_phi else 4, n))
    cdef double[:, ::1] out = found
    cdef double x, e, s, small, p, q, v, done, missed
    cdef bint is_usual = True
    cdef Jet P, Q
    cdef Jet[65] of_trials
    with nogil:
        for k in range(65):
            of_trials[k] = rising_of(k, phi)
        for i in range(n):
            x, done = eta[i], whole(weights[i] * y[i])
            missed = whole(weights[i] - done)
            e = exp(-fabs(x))
            s = 1.0 / (1.0 + e)
            small = e * s
            p, q = (s, small) if x > 0.0 else (small, s)
            if not (done >= 0.0 and missed >= 0.0 and done + missed <= MOST_TERMS and phi * small > SMALLEST):
                is_usual = False
                break
            v = s * small
            P, Q = rising_of(done, phi * p), rising_of(missed, phi * q)
            k = <Py_ssize_t> (done + missed)
            if in_phi:
                out[0, i] = P.first + Q.first - of_trials[k].first
                out[1, i] = P.second * q - Q.second * p
                out[2, i] = P.third * q * q - P.second * v + Q.third * p * p - Q.second * v
            else:
                out[0, i] = P.value + Q.value - of_trials[k].value
                out[1, i] = P.first * q - Q.first * p
                out[2, i] = P.second * q * q + Q.second * p * p - (P.first + Q.first) * v
                out[3, i] = (
                    P.third * q * q * q - Q.third * p * p * p
                    + v * (3.0 * (Q.second * p - P.second * q) + (P.first + Q.first) * (p - q))
                )
    return tuple(found) if is_usual else None
