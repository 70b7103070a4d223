"""The power of a test by simulation: designs, decisions, studies and curves."""
