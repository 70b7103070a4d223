"""Fits of nonlinear mixed models: the mode by penalized nonlinear least squares, Laplace, quadrature."""
