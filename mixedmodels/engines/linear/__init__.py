"""Linear mixed models: the profiled REML criterion or deviance, its gradient and its minimum."""
