"""Questions about threads: listed, one at a glance, and in windows."""
