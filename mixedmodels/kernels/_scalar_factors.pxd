# cython: language_level=3
"""What other kernels read of _scalar_factors.pyx: its arrays, and its loops on plain pointers."""

from libc.stdint cimport int32_t

cdef enum:
    # Most eliminated and most dense factors.
    MAX = 8


ctypedef const int32_t* Codes


cdef inline void add_rows(Py_ssize_t n, Py_ssize_t m, Codes codes, const double* rows, double* sums) noexcept nogil:
    """Add rows of m numbers to the sums of their levels; of rows that share one, beside one another, at once."""
    cdef Py_ssize_t i = 0, c
    cdef int32_t level
    cdef double even, odd
    if m != 1:
        for i in range(n):
            for c in range(m):
                sums[m * codes[i] + c] += rows[m * i + c]
        return
    while i < n:
        level, even, odd = codes[i], rows[i], 0.0
        i += 1
        # A sum in memory waits for the one before it.
        while i + 1 < n and codes[i] == level and codes[i + 1] == level:
            even += rows[i]
            odd += rows[i + 1]
            i += 2
        sums[level] += even + odd


cdef class ScalarFactors:
    cdef tuple parts
    cdef Py_ssize_t n, n_chain, n_dense, n_tail, n_effects, n_values
    # Of each eliminated factor: levels, where its effects are, and where its values: pivots, links to the
    # factors it is nested in, entries against the tail.
    cdef Py_ssize_t[MAX] sizes, places, pivots, entries
    cdef Py_ssize_t[MAX][MAX] links
    cdef Codes[MAX][MAX] parents
    cdef Codes[MAX][MAX] lifts
    cdef Codes[MAX] starts
    cdef Codes[MAX] tail_rows
    # Its entries in order of their tail rows: where those of each row begin (NULL where the
    # entries are kept dense), which ones, and of which level.
    cdef Codes[MAX] row_starts
    cdef Codes[MAX] by_row
    cdef Codes[MAX] levels
    # Of each dense factor: where its effects are; of each row of the data its tail row, and the entry.
    cdef Py_ssize_t[MAX] dense_sizes, dense_places, dense_firsts
    cdef Codes[MAX] dense_rows
    cdef Codes[MAX] dense_entries
    cdef Codes leaf

    cdef void add_levels(self, const double* rows, const double* scales, Py_ssize_t m, double* u) noexcept nogil
    cdef void scale(self, double* u, const double* scales, Py_ssize_t m) noexcept nogil
    cdef void add_effects(
        self, double* u, const double* scales, const double* base, double* out
    ) noexcept nogil
    cdef void fill(self, const double* W, const double* scales, double* V, double* T) noexcept nogil
    cdef void scale_entries(self, const double* scales, double* V, Py_ssize_t j) noexcept nogil
    cdef bint eliminate_chain(self, double* V, double* T, double* log_det) noexcept nogil
    cdef void subtract_from_outer(self, double* V, Py_ssize_t j, Py_ssize_t l) noexcept nogil
    cdef void subtract_from_tail(self, const double* E, double* T, Py_ssize_t j) noexcept nogil
    cdef void go_forward(self, const double* V, Py_ssize_t m, double* u, double* x) noexcept nogil
    cdef void go_backward(self, const double* V, Py_ssize_t m, double* u, const double* x) noexcept nogil
    cdef void invert_factor(self, const double* V, double* found, Py_ssize_t j, const double* T) noexcept nogil
    cdef void invert_level(self, const double* V, double* G, Py_ssize_t j, Py_ssize_t l) noexcept nogil
    cdef visit(
        self, const double[::1] inverse, const double[:, ::1] tail, const double[::1] scales,
        double* leverage, const double* W, double* by_factor, double* out,
    )
    cdef void visit_all(
        self, const double* G, const double* T, const double* scales, double* within,
        double* leverage, const double* W, double* by_factor, double* out,
    ) noexcept nogil
    cdef void visit_pairs(
        self, const double* G, const double* tail, const double* scales,
        double* leverage, const double* W, double* by_factor, double* out,
    ) noexcept nogil
    cdef void visit_rows(
        self, const double* G, const double* tail, const double* scales, const double* within,
        double* leverage, const double* W, double* by_factor, double* out,
    ) noexcept nogil
    cdef void sum_within(self, const double* G, const double* scales, double* within) noexcept nogil
    cdef double row_effects(
        self, Py_ssize_t i, const double* G, const double* tail, const double* scales, const double* within,
        double* effects,
    ) noexcept nogil
    cdef void contract_at(
        self, const double* r, const double* d1, const double* u, const double* adjoint, double* room, double* out
    ) noexcept nogil
