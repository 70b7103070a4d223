"""Cross-products and the blocked Cholesky factor of the penalized system."""
