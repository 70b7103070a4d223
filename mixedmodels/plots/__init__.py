"""Pictures of fits with matplotlib: each returns Axes that keep the table they show in ``.data``."""
