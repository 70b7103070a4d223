# cython: language_level=3
"""Quasi-Newton minimisation for compiled searches: see _quasi_newton.pyx."""

cdef enum:
    # Most parameters, accepted points and evaluations of a compiled search.
    MAX_K = 32
    MAX_POINTS = 64
    MAX_TRIALS = 128
    # What an objective and a search return: all is well; the objective is infinite there; there is something
    # for the readable search to look at.
    FINE = 0
    INFINITE = 1
    UNUSUAL = 2

#: Sets the objective, its gradient and its rounding at a point.
ctypedef int (*Objective)(void* context, const double* x, double* f, double* g, double* rounding) noexcept nogil


cdef struct Search:
    # Where a search is, what it has found out, and the points it has accepted.
    Objective objective
    void* context
    Py_ssize_t k, n_evaluations, n_points
    double f, rounding, decrement
    double[MAX_K] x
    double[MAX_K] g
    double[MAX_K][MAX_K] H
    double[MAX_POINTS][MAX_K] points
    double[MAX_POINTS] values
    double[MAX_TRIALS] tried


cdef int minimize(Search* s, double tolerance, double max_step) noexcept nogil
cdef double dot(const double* a, const double* b, Py_ssize_t k) noexcept nogil
