"""Fits of nonlinear mixed models whose response has a family: a curve is the argument of the inverse link."""
