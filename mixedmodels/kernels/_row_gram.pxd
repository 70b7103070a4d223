# cython: language_level=3
"""Products of few weighted columns, which BLAS has much ado about."""

cdef extern from *:
    """
    #include <stddef.h>
    #include "_versions.h"

    enum { SOME_ROWS = 128, LANES = 8 };

    /* Add Q'WQ of up to SOME_ROWS rows to its lower half. Columns are laid one after the other first, and several
       sums run side by side. */
    IN_VERSIONS
    static void add_gram(ptrdiff_t n, ptrdiff_t p, const double* Q, const double* W, double* room, double* gram)
    {
        double* weighted = room + p * SOME_ROWS;
        ptrdiff_t i, a, b, k;
        for (a = 0; a < p; a++) {
            double *q = room + a * SOME_ROWS, *w = weighted + a * SOME_ROWS;
            for (i = 0; i < n; i++) {
                q[i] = Q[i * p + a];
                w[i] = W[i] * q[i];
            }
            for (; i % LANES; i++)
                q[i] = w[i] = 0.0;
        }
        for (a = 0; a < p; a++)
            for (b = 0; b <= a; b++) {
                const double *q = room + b * SOME_ROWS, *w = weighted + a * SOME_ROWS;
                double sums[LANES] = {0.0}, total = 0.0;
                for (i = 0; i < n; i += LANES)
                    for (k = 0; k < LANES; k++)
                        sums[k] += w[i + k] * q[i + k];
                for (k = 0; k < LANES; k++)
                    total += sums[k];
                gram[a * p + b] += total;
            }
    }
    """
    enum:
        SOME_ROWS
    void add_gram(
        Py_ssize_t n, Py_ssize_t p, const double* Q, const double* W, double* room, double* gram
    ) noexcept nogil
