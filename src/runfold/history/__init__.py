"""What the log alone tells of a thread: its tree, a path, the conversation, heads, steps."""
