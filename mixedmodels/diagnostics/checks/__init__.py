"""Checks of a fitted model: small functions, each with one assumption, that answer in a sentence."""
