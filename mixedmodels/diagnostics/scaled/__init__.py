"""Scaled residuals: draws from a fit, the rank of the response among them, and tests of the ranks."""
