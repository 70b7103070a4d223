"""Working correlations: how the responses of one group are taken to be correlated."""
