"""Results as tidy tables, one row an estimate, a model or an observation."""
