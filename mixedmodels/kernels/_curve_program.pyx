# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A straight line of operations on the rows of a mean, a few rows at a time; see curve_program.py."""

from libc.math cimport cos, exp, expm1, fabs, log, log1p, pow, sin, sqrt, tanh
from libc.stdint cimport int32_t

import numpy as np

# Rows at a time: so few that what a hundred registers hold of them stays in the processor's cache.
cdef enum:
    BLOCK = 32
# In the order of curve_program.CODES.
cdef enum:
    ADD, SUBTRACT, MULTIPLY, DIVIDE, NEGATIVE, EXP, EXPM1, LOG, LOG1P, SQRT, POWER, EXPIT, SIN, COS, TANH, ABSOLUTE, SIGN
    EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, AND, OR, NOT, WHERE


cdef void unary(int code, const double* a, double* r) noexcept nogil:
    """Set r to a function of a."""
    cdef Py_ssize_t i
    for i in range(BLOCK):
        if code == NEGATIVE:
            r[i] = -a[i]
        elif code == EXP:
            r[i] = exp(a[i])
        elif code == EXPM1:
            r[i] = expm1(a[i])
        elif code == LOG:
            r[i] = log(a[i])
        elif code == LOG1P:
            r[i] = log1p(a[i])
        elif code == SQRT:
            r[i] = sqrt(a[i])
        elif code == EXPIT:
            r[i] = 1.0 / (1.0 + exp(-a[i]))
        elif code == SIN:
            r[i] = sin(a[i])
        elif code == COS:
            r[i] = cos(a[i])
        elif code == TANH:
            r[i] = tanh(a[i])
        elif code == ABSOLUTE:
            r[i] = fabs(a[i])
        elif code == SIGN:
            r[i] = 1.0 if a[i] > 0.0 else -1.0 if a[i] < 0.0 else a[i]
        else:
            r[i] = 1.0 if a[i] == 0.0 else 0.0


cdef void comparison(int code, const double* a, const double* b, double* r) noexcept nogil:
    """Set r to one where a comparison or a conjunction holds, to zero elsewhere."""
    cdef Py_ssize_t i
    cdef bint holds
    for i in range(BLOCK):
        if code == EQUAL:
            holds = a[i] == b[i]
        elif code == NOT_EQUAL:
            holds = a[i] != b[i]
        elif code == LESS:
            holds = a[i] < b[i]
        elif code == LESS_EQUAL:
            holds = a[i] <= b[i]
        elif code == GREATER:
            holds = a[i] > b[i]
        elif code == GREATER_EQUAL:
            holds = a[i] >= b[i]
        elif code == AND:
            holds = a[i] != 0.0 and b[i] != 0.0
        else:
            holds = a[i] != 0.0 or b[i] != 0.0
        r[i] = 1.0 if holds else 0.0


cdef void operate(int code, const double* a, const double* b, const double* c, double* r) noexcept nogil:
    """Set r to what an operation makes of its operands."""
    cdef Py_ssize_t i
    if code == ADD:
        for i in range(BLOCK):
            r[i] = a[i] + b[i]
    elif code == SUBTRACT:
        for i in range(BLOCK):
            r[i] = a[i] - b[i]
    elif code == MULTIPLY:
        for i in range(BLOCK):
            r[i] = a[i] * b[i]
    elif code == DIVIDE:
        for i in range(BLOCK):
            r[i] = a[i] / b[i]
    elif code == POWER:
        for i in range(BLOCK):
            r[i] = pow(a[i], b[i])
    elif code == WHERE:
        for i in range(BLOCK):
            r[i] = b[i] if a[i] != 0.0 else c[i]
    elif EQUAL <= code <= OR:
        comparison(code, a, b, r)
    else:
        unary(code, a, r)


def run_program(
    const int32_t[:, ::1] operations,
    const int32_t[::1] places,
    const double[::1] numbers,
    const double[:, ::1] data,
    const double[:, ::1] phi,
    const int32_t[:, ::1] outputs,
    Py_ssize_t n_rows,
    Py_ssize_t n_registers,
):
    cdef Py_ssize_t n = phi.shape[1], D = data.shape[0], K = phi.shape[0], first = 0, m, i, k
    cdef const double* source
    cdef double* held
    out_array = np.zeros((n_rows, n))
    cdef double[:, ::1] out = out_array
    cdef double[:, ::1] registers = np.zeros((n_registers, BLOCK))
    if n == 0:
        return out_array
    if data.shape[1] != n:
        raise ValueError(f"data of {data.shape[1]} rows and parameters of {n} are not of the same rows")
    with nogil:
        for k in range(places.shape[0]):
            for i in range(BLOCK):
                registers[places[k], i] = numbers[k]
        while first < n:
            m = min(<Py_ssize_t>BLOCK, n - first)
            for k in range(D + K):
                source = &data[k, first] if k < D else &phi[k - D, first]
                held = &registers[k, 0]
                for i in range(m):
                    held[i] = source[i]
            for k in range(operations.shape[0]):
                operate(
                    operations[k, 0],
                    &registers[operations[k, 1], 0],
                    &registers[operations[k, 2], 0],
                    &registers[operations[k, 3], 0],
                    &registers[operations[k, 4], 0],
                )
            for k in range(outputs.shape[0]):
                for i in range(m):
                    out[outputs[k, 1], first + i] = registers[outputs[k, 0], i]
            first += BLOCK
    return out_array
