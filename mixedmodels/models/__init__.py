"""Fitted models: they store design and estimates once and derive everything else on demand."""
