"""Fitted models: estimates and delegating methods."""
