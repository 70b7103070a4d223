"""Tables that are read in batches: files, readers, lazy frames and the tables of engines."""
