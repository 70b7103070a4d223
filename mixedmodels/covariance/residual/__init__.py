"""Covariance structures of residuals: correlation within groups, and variances by predictors."""
