"""From a syntax tree and a table to columns."""
