"""Estimated marginal means: predictions at the cells of a reference grid, averaged and compared."""
