"""Generalized linear models: maximum likelihood, and whether it exists."""
