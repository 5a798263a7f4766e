"""Sessions of Claude Code: their lines, what they mean, and what they become."""
