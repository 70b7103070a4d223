"""What every engine uses to search and to judge: methods and their reports."""
