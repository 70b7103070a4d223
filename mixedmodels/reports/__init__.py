"""Everything that is printed: R's number formats, tables and the texts of models and tests."""
