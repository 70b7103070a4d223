"""A fit as everything that is said about it sees it: arrays and records, no accessor of the user's."""
