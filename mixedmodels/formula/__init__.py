"""The formula language: from R's text to arrays."""
