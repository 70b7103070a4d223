"""Inference about marginal models fitted by estimating equations."""
