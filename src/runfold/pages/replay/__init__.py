"""A thread at any moment and along any branch, and two runs, heads or moments side by side."""
