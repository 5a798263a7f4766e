"""The commands that seal and verify the log, and make evidence of it."""
