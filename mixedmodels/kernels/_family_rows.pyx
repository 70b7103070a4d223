# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of mixedmodels/kernels/family_rows.py; see there."""

import numpy as np

from libc.math cimport exp, fabs, log

# A product is taken the logarithm of before it leaves this range.
cdef double LARGE = 1e100


def logit_rows(const double[:] y, const double[:] eta, const double[:] weights):
    """Return terms of the log-likelihood, d1, -d2 and -d3."""
    cdef Py_ssize_t n = eta.shape[0], i
    found = np.empty((4, n))
    cdef double[:, ::1] out = found
    cdef double x, e, total, s, small, p, q, v, log_total
    with nogil:
        for i in range(n):
            x = eta[i]
            e = exp(-fabs(x))
            total = 1.0 + e
            s = 1.0 / total
            small = e * s
            # log(1 + e) with what the sum has rounded away.
            log_total = log(total) + (e - (total - 1.0)) * s
            if x > 0.0:
                p = s
                q = small
                log_total = log_total + x
            else:
                p = small
                q = s
            v = weights[i] * (s * small)
            out[0, i] = weights[i] * (y[i] * x - log_total)
            out[1, i] = weights[i] * (y[i] * q - (1.0 - y[i]) * p)
            out[2, i] = v
            out[3, i] = v * (q - p)
    return found[0], found[1], found[2], found[3]


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
