"""Read models of the past: folded to a position or along a path, and prepared for who will ask."""
