"""Verifying the log against what was sealed of it."""
