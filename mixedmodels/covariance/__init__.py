"""Covariance structures of random effects: theta to factor and back."""
