"""Starting values, the optimiser and its verdict."""
