"""The contestants, one small file each. They are called, never copied."""
