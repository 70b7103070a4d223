# cython: language_level=3
"""What the compiled searches of models with one grouping factor share: the model, and what is found at a point."""

cdef enum:
    MAX_S = 8


cdef struct Context:
    # The model; scales of the parameters; the factor, the modes, and row by row what is found at them.
    int kind
    Py_ssize_t n, q, S, p, n_terms
    Py_ssize_t[MAX_S] sizes
    double[MAX_S * MAX_S] T
    double[MAX_S * MAX_S] dT
    double constant, log_det
    const double* y
    const double* w
    const double* Z
    const double* Q
    const double* offset
    const double* scale
    const Py_ssize_t* starts
    double* u
    double* fixed
    double* found
    double* half
    double* residual
    double* work
