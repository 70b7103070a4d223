"""What follows from a fit: variance components, standard errors, intervals, comparisons of models."""
