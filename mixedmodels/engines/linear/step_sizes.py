"""How large the first steps of a search are: what the readable and the compiled one share."""

from __future__ import annotations

import numpy as np

#: Standard deviation of every effect, in residual standard deviations, before the data are asked.
START_SIZE = 0.4
#: Bounds of one Fisher scoring step: no variance shrinks or grows by more.
LEAST_FACTOR, LARGEST_FACTOR = 0.2, 1e4
#: Relative rounding of the residual sum of squares: a few units in the last place of what it is the rest of.
RESIDUAL_ROUNDING = 10.0 * float(np.finfo(np.float64).eps)
#: Least eigenvalue of a starting Hessian scaled to unit diagonal.
LEAST_CURVATURE = 1e-8
