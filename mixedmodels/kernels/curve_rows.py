"""What the rows of curves give to the random effects of their clusters, and small systems by cluster.

A compiled loop goes over the rows once; NumPy would make an array of all rows for every product. Where
nothing is compiled `COMPILED` is False and the functions are not there:
:mod:`mixedmodels.engines.nonlinear.row_sums` has the same in NumPy, and the formulas. Arguments are those of
:class:`mixedmodels.engines.nonlinear.problem.NonlinearProblem` and of the mode
(:mod:`mixedmodels.engines.nonlinear.mode`), whose names they have.

`parameters_at` returns the parameters (K, n); `mode_sums` Zeta, zeta, rss, slope, Omega and K; `moved_slope`
the change of the slope (C, q); `curvature_slope` nu (n, S), the derivatives in the parameters (K, n) and
those in u (C, q); `parameter_slope` those in T (S, S) and in beta (p,). `solve_clusters` and
`invert_clusters` return None where a matrix is not positive definite.
"""

from __future__ import annotations

__all__ = [
    "COMPILED",
    "curvature_slope",
    "invert_clusters",
    "mode_sums",
    "moved_slope",
    "parameter_slope",
    "parameters_at",
    "solve_clusters",
]

try:
    from mixedmodels.kernels._curve_rows import (
        curvature_slope,
        invert_clusters,
        mode_sums,
        moved_slope,
        parameter_slope,
        parameters_at,
        solve_clusters,
    )
except ImportError:
    COMPILED = False
else:
    COMPILED = True
