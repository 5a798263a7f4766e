"""The commands that look at what was recorded."""
