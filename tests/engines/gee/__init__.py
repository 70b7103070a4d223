"""Tests of generalized estimating equations."""
