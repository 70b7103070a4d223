"""Linear models whose residuals are correlated within groups or of unequal variances, random effects beside."""
