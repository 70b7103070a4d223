"""Prediction for old and new rows."""
