# cython: language_level=3
"""What other kernels read of _levels_search.pyx: the objective of one model, and its start."""

from mixedmodels.kernels._level_context cimport Context
from mixedmodels.kernels._quasi_newton cimport Search


cdef int objective(void* context, const double* x, double* f, double* g, double* rounding) noexcept nogil
cdef void set_gradient(const Context* c, double* g) noexcept nogil
cdef bint fixed_inverse(Context* c, double* M, double* inverse) noexcept nogil
cdef double scoring(
    Context* c, const double* eta, Py_ssize_t n_steps, double* gamma, double* M, double* step
) noexcept nogil
cdef double settled(
    Context* c, double loglik, Py_ssize_t most, double gain, double* gamma, double* M, double* step
) noexcept nogil
cdef tuple found_by(const Search* s)


cdef class LevelObjective:
    cdef Context c
    cdef double* room
    cdef object kept
    cdef readonly object u
