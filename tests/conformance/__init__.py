"""Run the shared conformance cases and reference fits, and count how many hold.

``python -m tests.conformance`` prints the counts by category and every failure with its reason. The cases
live in a folder of their own beside the repository: see ``shared.find_shared``.
"""
