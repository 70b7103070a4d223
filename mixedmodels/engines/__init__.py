"""The engines: each minimises one objective over arrays of a design and returns estimates."""
