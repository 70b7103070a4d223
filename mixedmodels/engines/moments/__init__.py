"""Linear mixed models from sums over rows: accumulated batch by batch, added, and solved like any other."""
