# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of mixedmodels/kernels/whole_counts.py; see there."""

from libc.math cimport floor, lgamma

import numpy as np

cdef enum:
    # Logarithms of factorials that are kept.
    MOST = 256

cdef double[MOST] LOG_FACTORIALS
cdef Py_ssize_t _k
for _k in range(MOST):
    LOG_FACTORIALS[_k] = lgamma(_k + 1.0)

# The largest number whose neighbours are whole too.
cdef double LARGEST = 2.0**53
# Rounding of a proportion times its trials.
cdef double WHOLE = 1e-12


def are_whole(const double[:] values, double most):
    cdef Py_ssize_t i
    for i in range(values.shape[0]):
        if not (0.0 <= values[i] <= most and values[i] <= LARGEST and values[i] == floor(values[i])):
            return False
    return True


def proportions(const double[:] successes, const double[:] failures):
    cdef Py_ssize_t n = successes.shape[0], i
    cdef double[:, ::1] out = np.empty((2, n))
    if not (are_whole(successes, LARGEST) and are_whole(failures, LARGEST)):
        return None
    for i in range(n):
        out[1, i] = successes[i] + failures[i]
        out[0, i] = successes[i] / out[1, i] if out[1, i] > 0.0 else 0.0
    return out.base[0], out.base[1]


cdef inline double log_factorial(double x) noexcept nogil:
    """Return log x!, continued by the gamma function; of numbers that are nearly whole from the table."""
    cdef double nearest = floor(x + 0.5)
    if nearest < MOST and -WHOLE * (1.0 + nearest) <= x - nearest <= WHOLE * (1.0 + nearest):
        return LOG_FACTORIALS[<Py_ssize_t> nearest]
    return lgamma(x + 1.0)


def log_choose(const double[:] y, const double[:] trials):
    cdef Py_ssize_t n = y.shape[0], i
    cdef double[::1] out = np.empty(n)
    cdef double chosen
    for i in range(n):
        out[i] = 0.0
        if 0.0 < y[i] < 1.0 and trials[i] > 0.0:
            chosen = trials[i] * y[i]
            out[i] = log_factorial(trials[i]) - log_factorial(chosen) - log_factorial(trials[i] - chosen)
    return out.base
