"""Benchmark suite: the models people fit, timed against lme4 and the Python peers.

Run ``python -m benchmarks --help`` from the root of the repository.
"""
