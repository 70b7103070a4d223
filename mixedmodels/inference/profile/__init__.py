"""The profile of a likelihood: curves, limits and Wald intervals of every parameter of a mixed model."""
