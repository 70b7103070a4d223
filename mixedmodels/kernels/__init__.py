"""Loops that NumPy cannot express: compiled where a C compiler was at hand, in NumPy elsewhere.

Each kernel is a pair. ``_name.pyx`` is compiled by meson.build; ``name.py`` documents it, holds its NumPy
twin and exports the compiled version if there is one. The twins give the same numbers: they are the oracle
of the kernels' tests, and all that an installation without a compiler needs.
"""
