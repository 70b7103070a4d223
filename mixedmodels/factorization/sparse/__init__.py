"""Multifrontal Cholesky of a sparse matrix, its selected inverse and its order."""
