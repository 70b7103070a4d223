# cython: language_level=3
"""What other kernels read of _family_rows.pyx: terms of the log-likelihood, d1, -d2 and -d3, n each."""

cdef void logit_rows_at(
    Py_ssize_t n, const double* y, const double* eta, const double* weights, double* out
) noexcept nogil
cdef void poisson_rows_at(
    Py_ssize_t n, const double* y, const double* eta, const double* weights, double* out
) noexcept nogil
