# cython: language_level=3
"""Types of the routines of BLAS and LAPACK, and how compiled kernels find those of SciPy."""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer

ctypedef void (*Gemm)(
    char*, char*, int*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*
) noexcept nogil
ctypedef void (*Syrk)(
    char*, char*, int*, int*, double*, double*, int*, double*, double*, int*
) noexcept nogil
ctypedef void (*Trsm)(
    char*, char*, char*, char*, int*, int*, double*, double*, int*, double*, int*
) noexcept nogil
ctypedef void (*Gemv)(
    char*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*
) noexcept nogil
ctypedef void (*Potrf)(char*, int*, double*, int*, int*) noexcept nogil


cdef inline void* routine(module, name):
    """SciPy's BLAS or LAPACK routine, without its headers."""
    capsule = module.__pyx_capi__[name]
    return PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))
