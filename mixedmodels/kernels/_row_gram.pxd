# cython: language_level=3
"""Products of few weighted columns, which BLAS has much ado about."""

cdef extern from *:
    """
    #include <stddef.h>
    #include "_stretches.h"
    #include "_versions.h"

    /* Add Q'WQ of up to STRETCH rows to its lower half. Columns are laid one after the other first, and several
       sums run side by side. */
    IN_VERSIONS
    static void add_gram(ptrdiff_t n, ptrdiff_t p, const double* Q, const double* W, double* room, double* gram)
    {
        double* weighted = room + p * STRETCH;
        ptrdiff_t i, a, b;
        for (a = 0; a < p; a++) {
            double *q = room + a * STRETCH, *w = weighted + a * STRETCH;
            for (i = 0; i < n; i++) {
                q[i] = Q[i * p + a];
                w[i] = W[i] * q[i];
            }
            for (; i % LANES; i++)
                q[i] = w[i] = 0.0;
        }
        for (a = 0; a < p; a++)
            for (b = 0; b <= a; b++)
                gram[a * p + b] += column_product(n, weighted + a * STRETCH, room + b * STRETCH);
    }
    """
    enum:
        STRETCH
    void add_gram(
        Py_ssize_t n, Py_ssize_t p, const double* Q, const double* W, double* room, double* gram
    ) noexcept nogil
