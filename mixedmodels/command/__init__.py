"""The command line: ``mixedmodels fit``, ``mixedmodels replicate``, ``mixedmodels versions``."""
