# cython: language_level=3
"""What other kernels read of _scalar_levels.pyx."""

from mixedmodels.kernels._level_context cimport Context

cdef bint at_scalar_level(Context* c, Py_ssize_t l, double* loglik) noexcept nogil
cdef void set_hessian(Context* c, double* H) noexcept nogil
