# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of mixedmodels/kernels/family_rows.py; see there."""

import numpy as np

from libc.math cimport exp, fabs, log
from libc.string cimport memset

# A product is taken the logarithm of before it leaves this range.
cdef double LARGE = 1e100
# Predictors up to this size have exponentials that are neither zero nor infinite.
cdef double MOST = 700.0
# Rows of the beta-binomial that are gone through together, whose sides stay in the first cache, and trials up
# to which rising factorials are products.
cdef enum:
    CHUNK = 256
    MOST_TERMS = 64
# Terms after which a product is taken the logarithm of: two such, of shapes up to 1e6, are doubles.
cdef int AT_ONCE = 16


cdef extern from *:
    """
    #include <math.h>
    #include <stdint.h>
    #include <string.h>
    #include "_versions.h"

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

    IN_VERSIONS
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

    /* log(x) for positive x that are neither tiny nor infinite: x = 2^k (1 + f) with 1 + f from sqrt(1/2) to
       sqrt(2), and the series of log_of_one_more. */
    static inline double log_of(double x) {
        const uint64_t least = 0x3fe6a09e667f3bcdULL;  /* sqrt(1/2) */
        const double whole = 4503599627370496.0;  /* 2^52: its last digits are a whole number */
        uint64_t bits, exponent;
        double f, k, s, z, R, half;
        memcpy(&bits, &x, sizeof bits);
        bits += 0x3ff0000000000000ULL - least;
        exponent = (bits >> 52) | 0x4330000000000000ULL;
        bits = (bits & 0x000fffffffffffffULL) + least;
        memcpy(&f, &bits, sizeof f);
        memcpy(&k, &exponent, sizeof k);
        f -= 1.0;
        k -= whole + 1023.0;
        s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
        R = 1.479819860511658591e-01;
        R = R * z + 1.531383769920937332e-01;
        R = R * z + 1.818357216161805012e-01;
        R = R * z + 2.222219843214978396e-01;
        R = R * z + 2.857142874366239149e-01;
        R = R * z + 3.999999999940941908e-01;
        R = R * z + 6.666666666666735130e-01;
        R = R * z;
        return k * 6.93147180369123816490e-01
            - ((half - (s * (half + R) + k * 1.90821492927058770002e-10)) - f);
    }

    /* Means of both sides of the rows of a beta-binomial and their counts, freed from the rounding of a
       proportion; returns the number of rows that need no care: whole counts of no more than `most` trials in
       all, and shapes that have not vanished. */
    IN_VERSIONS
    static int read_sides(
        int n, const double* y, const double* eta, const double* weights, double phi, double most,
        double* restrict p, double* restrict q, int* restrict done, int* restrict missed
    ) {
        const double shift = 6755399441055744.0, rounding = 1e-14, smallest = 1e-90, farthest = 700.0;
        int i, n_usual = 0;
        for (i = 0; i < n; i++) {
            double x = eta[i], size = fabs(x), e = exp_of_negative(-size), s = 1.0 / (1.0 + e), small = e * s;
            double successes = weights[i] * y[i], a = (successes + shift) - shift;
            double failures = weights[i] - a, b = (failures + shift) - shift;
            p[i] = x > 0.0 ? s : small;
            q[i] = x > 0.0 ? small : s;
            done[i] = (int) a;
            missed[i] = (int) b;
            n_usual += (fabs(successes - a) <= rounding * a) & (fabs(failures - b) <= rounding * b)
                & (a + b <= most) & (size < farthest) & (phi * small > smallest);
        }
        return n_usual;
    }

    /* The k-th term, s + k, of n rising factorials: to their products, and to three derivatives of their
       logarithms in log(s). */
    IN_VERSIONS
    static void add_term(
        int n, double k, const double* restrict s, double* restrict product,
        double* restrict first, double* restrict second, double* restrict third
    ) {
        int i;
        for (i = 0; i < n; i++) {
            double total = s[i] + k, inverse = 1.0 / total, t = s[i] * inverse, rest = k * inverse;
            double both = t * rest;
            product[i] *= total;
            first[i] += t;
            second[i] += both;
            third[i] += both * (rest - t);
        }
    }

    /* Take the logarithms of products and begin them anew. */
    IN_VERSIONS
    static void take_logs(int n, double* restrict product, double* restrict value) {
        int i;
        for (i = 0; i < n; i++) {
            value[i] += log_of(product[i]);
            product[i] = 1.0;
        }
    }
    """
    int read_sides(
        int n, const double* y, const double* eta, const double* weights, double phi, double most,
        double* p, double* q, int* done, int* missed
    ) noexcept nogil
    void add_term(
        int n, double k, const double* s, double* product, double* first, double* second, double* third
    ) noexcept nogil
    void take_logs(int n, double* product, double* value) noexcept nogil
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


cdef struct Sides:
    # Both sides of the rows of a beta-binomial, successes and failures, in the order of the rows: means,
    # counts, places among the sides sorted by their counts.
    double[CHUNK] p
    double[CHUNK] q
    int[CHUNK] done
    int[CHUNK] missed
    int[CHUNK] place
    int[CHUNK] other


cdef struct Rising:
    # Rising factorials sorted by their counts, the largest first: how many have more than k terms, what is not
    # yet in the logarithms of the products, those logarithms, and three derivatives in log(s).
    int[MOST_TERMS + 1] more
    double[2 * CHUNK] s
    double[2 * CHUNK] product
    double[2 * CHUNK] value
    double[2 * CHUNK] first
    double[2 * CHUNK] second
    double[2 * CHUNK] third


cdef void sort_sides(int n, Sides* sides, double phi, Rising* rising) noexcept nogil:
    """Sort the sides of n rows by their counts, the largest first, and give each its shape."""
    cdef int i, k, place
    cdef int[MOST_TERMS + 2] at
    memset(at, 0, sizeof(at))
    for i in range(n):
        at[sides.done[i]] += 1
        at[sides.missed[i]] += 1
    # How many have more than k terms is also where those of k begin.
    for k in range(MOST_TERMS, -1, -1):
        at[k] += at[k + 1]
    for k in range(MOST_TERMS + 1):
        rising.more[k] = at[k] = at[k + 1]
    for i in range(n):
        place = sides.place[i] = at[sides.done[i]]
        at[sides.done[i]] += 1
        rising.s[place] = phi * sides.p[i]
        place = sides.other[i] = at[sides.missed[i]]
        at[sides.missed[i]] += 1
        rising.s[place] = phi * sides.q[i]


cdef void rise(int n, Rising* rising, bint in_phi) noexcept nogil:
    """Find n rising factorials: term by term, of all that have so many at once."""
    cdef int i, k = 1
    # The first term is s itself, the derivative of its logarithm one.
    for i in range(n):
        rising.product[i] = rising.s[i] if i < rising.more[0] else 1.0
        rising.first[i] = 1.0 if i < rising.more[0] else 0.0
        rising.value[i] = rising.second[i] = rising.third[i] = 0.0
    while k < MOST_TERMS and rising.more[k]:
        if k % AT_ONCE == 0:
            take_logs(rising.more[k], rising.product, rising.value)
        add_term(rising.more[k], k, rising.s, rising.product, rising.first, rising.second, rising.third)
        k += 1
    if not in_phi:
        take_logs(rising.more[0], rising.product, rising.value)


cdef void in_eta(int n, Sides* at, Rising* of, Jet* of_trials, double* out, Py_ssize_t apart) noexcept nogil:
    """Write the terms of n rows and three derivatives in eta."""
    cdef int i, a, b
    cdef double p, q, v, both
    for i in range(n):
        a, b, p, q = at.place[i], at.other[i], at.p[i], at.q[i]
        v, both = p * q, of.first[a] + of.first[b]
        out[i] = of.value[a] + of.value[b] - of_trials[at.done[i] + at.missed[i]].value
        out[apart + i] = of.first[a] * q - of.first[b] * p
        out[2 * apart + i] = of.second[a] * q * q + of.second[b] * p * p - both * v
        out[3 * apart + i] = (
            of.third[a] * q * q * q - of.third[b] * p * p * p
            + v * (3.0 * (of.second[b] * p - of.second[a] * q) + both * (p - q))
        )


cdef void in_log_phi(
    int n, Sides* at, Rising* of, Jet* of_trials, double* out, Py_ssize_t apart
) noexcept nogil:
    """Write the derivative of the terms of n rows in log(phi), and the slopes of two derivatives in eta."""
    cdef int i, a, b
    cdef double p, q
    for i in range(n):
        a, b, p, q = at.place[i], at.other[i], at.p[i], at.q[i]
        out[i] = of.first[a] + of.first[b] - of_trials[at.done[i] + at.missed[i]].first
        out[apart + i] = of.second[a] * q - of.second[b] * p
        out[2 * apart + i] = of.third[a] * q * q + of.third[b] * p * p - (of.second[a] + of.second[b]) * p * q


def beta_binomial_rows(
    const double[::1] y, const double[::1] eta, const double[::1] weights, double phi, bint in_phi
):
    """Return the terms of the rows with three derivatives in eta, or one and the slopes of two in log(phi)."""
    cdef Py_ssize_t rows = eta.shape[0], first = 0
    found = np.empty((3 if in_phi else 4, rows))
    cdef double[:, ::1] out = found
    cdef int n, k
    cdef Sides sides
    cdef Rising rising
    cdef Jet[MOST_TERMS + 1] of_trials
    with nogil:
        for k in range(MOST_TERMS + 1):
            of_trials[k] = rising_of(k, phi)
        while first < rows:
            n = <int> min(CHUNK, rows - first)
            if n > read_sides(
                n, &y[first], &eta[first], &weights[first], phi, MOST_TERMS,
                sides.p, sides.q, sides.done, sides.missed,
            ):
                break
            sort_sides(n, &sides, phi, &rising)
            rise(2 * n, &rising, in_phi)
            if in_phi:
                in_log_phi(n, &sides, &rising, of_trials, &out[0, first], rows)
            else:
                in_eta(n, &sides, &rising, of_trials, &out[0, first], rows)
            first += n
    return tuple(found) if first >= rows else None
