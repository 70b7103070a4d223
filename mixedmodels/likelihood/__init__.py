"""Likelihoods, their gradients and the estimates that maximise them."""
