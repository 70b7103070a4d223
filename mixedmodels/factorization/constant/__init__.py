"""The penalized system whose row weights are fixed: cross-products, blocked Cholesky factor, inverse."""
