/* Rows whose products are taken together, in columns of STRETCH numbers each; LANES sums run side by side. */
#ifndef MIXEDMODELS_STRETCHES_H
#define MIXEDMODELS_STRETCHES_H

#include <stddef.h>

enum { STRETCH = 128, LANES = 8 };

/* Return the product of two columns of n rows, and zeros to the next multiple of LANES. */
static inline double column_product(ptrdiff_t n, const double* x, const double* y)
{
    double sums[LANES] = {0.0}, total = 0.0;
    ptrdiff_t i, k;
    for (i = 0; i < n; i += LANES)
        for (k = 0; k < LANES; k++)
            sums[k] += x[i + k] * y[i + k];
    for (k = 0; k < LANES; k++)
        total += sums[k];
    return total;
}

#endif
