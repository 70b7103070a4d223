"""Cross-products and Cholesky factors of the penalized system, for fixed and for changing row weights.

Two eliminations share the blocks, the pattern and the faces, because they divide the work differently.

* A linear model forms ``Z'Z``, ``Z'X`` and ``X'X`` once; an evaluation costs nothing that grows with the
  rows. cross_products, blocked and inverse work on the scale of the raw coefficients, bordered with X.
* A generalized model has new row weights at every Newton step: refilling ``Lambda'Z'WZ Lambda`` is most of
  the work, and the inverse is needed row by row. row_sums, penalized_system, penalized_factor, tail_coupling,
  row_inverse work on the spherical scale, without X. Refilling and factoring take 13, 75 and 74 microseconds
  for cbpp, VerbAgg and grouseticks where the linear pair takes 55, 283 and 167.
"""
