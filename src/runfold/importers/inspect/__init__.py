"""Logs of Inspect: their files, what a sample in them says, and how that becomes acts."""
