"""Linear models whose residuals are correlated or of unequal variances, with or without random effects."""
