"""Sums over rows that a database makes: the text of the queries, and the way back from what they return."""
