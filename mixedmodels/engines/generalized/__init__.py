"""Generalized linear mixed models: PIRLS, Laplace and quadrature, their gradients and their minimum."""
