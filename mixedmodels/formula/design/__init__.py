"""From columns to the arrays of a model, and the recipe that repeats them on new data."""
