"""Questions about runs: listed, one at a glance, what it did, why it failed, and two side by side."""
