"""What people type out of habit from other programs, and what to write here."""
