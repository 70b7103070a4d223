"""Diagnostics of a fitted model."""
