"""Generalized estimating equations: marginal models of correlated responses."""
