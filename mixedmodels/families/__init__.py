"""Families and links: pure functions of (y, eta, phi)."""
