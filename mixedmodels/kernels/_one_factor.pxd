# cython: language_level=3
"""What other kernels read of _one_factor.pyx: one evaluation of a model with one grouping factor."""

cdef enum:
    LANES = 8
    # Of the arrays on the stack: coefficients, their pairs, fixed effects and the response.
    MAX_S = 8
    MAX_PAIRS = 36
    MAX_C = 17


cdef struct Model:
    # The arrays of one_factor_numpy() that describe a model, and T, where it is evaluated.
    const double* faces
    const double* XZ
    const double* r
    const double* XX
    const double* rX
    const double* T
    double rss, df, fixed_sigma2, least_share
    bint fixed_effects
    Py_ssize_t S, p, q


cdef struct Evaluation:
    # What one_factor_numpy() returns, and room for `room(model)` numbers.
    double log_det, log_det_fixed, sigma2
    double* root
    double* u
    double* gradient
    double* gap
    double* pairs
    double* work


cdef Py_ssize_t room(const Model* m) noexcept nogil
cdef bint evaluate(const Model* m, Evaluation* at) noexcept nogil
