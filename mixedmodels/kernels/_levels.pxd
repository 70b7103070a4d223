# cython: language_level=3
"""What other kernels read of _levels.pyx: the conditional mode of one level, and its part of the gradient."""

cdef struct Rows:
    # One level's rows and the order of its system; zeta holds T'z coefficient by coefficient, (S, m).
    Py_ssize_t m
    Py_ssize_t S
    int kind
    const double* y
    const double* w
    const double* fixed
    const double* zeta


cdef struct Nodes:
    # The rule, node by node and coordinate by coordinate, and scratch for one value at each node.
    Py_ssize_t K
    const double* x
    double* columns
    double* at
    double* e
    double* product
    double* p
    double* moved


cdef void columns_of(const double* Z, Py_ssize_t m, Py_ssize_t S, double* raw) noexcept nogil
cdef void spherical(const double* raw, const double* T, Py_ssize_t m, Py_ssize_t S, double* zeta) noexcept nogil
cdef int level_mode(
    const Rows* rows, double* u, double* eta, double* d1, double* W, double* slope, double* half, double* work
) noexcept nogil
cdef void derivatives(const Rows* rows, const double* eta, double* d1, double* W, double* e) noexcept nogil
cdef double finish(
    const Rows* rows, const double* eta, const double* d1, const double* W, double* slope
) noexcept nogil
cdef void inner_products(const double* half, Py_ssize_t S, double* inverse) noexcept nogil
cdef void level_pullback(
    Py_ssize_t m, Py_ssize_t S, const double* raw, const double* zeta, const double* u, const double* d1,
    const double* W, const double* slope, const double* inverse, const double* omega, const double* shift,
    double* residual, double* dT, double* work
) noexcept nogil
cdef double nodes_of_level(
    const Rows* rows, const double* eta, const double* u, const double* half, const double* log_weights,
    const double* signs, const Nodes* nodes, double* d1
) noexcept nogil
cdef void node_cotangents(
    const Rows* rows, const double* raw, const double* T, const double* half, const Nodes* nodes,
    const double* d1, double* residual, double* shift, double* omega, double* factors, double* work
) noexcept nogil
