# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of mixedmodels/kernels/family_rows.py; see there."""

import numpy as np

from libc.math cimport exp, fabs, log

# A product is taken the logarithm of before it leaves this range.
cdef double LARGE = 1e100
# Predictors up to this size have exponentials that are neither zero nor infinite.
cdef double MOST = 700.0


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


def rising_rows(const double[:] counts, const double[:] s):
    """Return the logarithm of the rising factorial and three derivatives in log(s)."""
    cdef Py_ssize_t n = s.shape[0], i
    found = np.empty((4, n))
    cdef double[:, ::1] out = found
    cdef double value, first, second, third, product, total, inverse, t, rest, k
    with nogil:
        for i in range(n):
            value = first = second = third = 0.0
            product = 1.0
            k = counts[i] - 1.0
            while k >= 0.0:
                total = s[i] + k
                inverse = 1.0 / total
                t = s[i] * inverse
                rest = k * inverse
                first += t
                second += t * rest
                third += t * rest * (rest - t)
                if total > LARGE:
                    value += log(total)
                else:
                    product *= total
                    if product > LARGE:
                        value += log(product)
                        product = 1.0
                k -= 1.0
            out[0, i] = value + log(product)
            out[1, i] = first
            out[2, i] = second
            out[3, i] = third
    return found[0], found[1], found[2], found[3]
