"""What a fitted model says about rows: fitted values, predictions, their errors, simulated responses."""
