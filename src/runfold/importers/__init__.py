"""Real agent runs of other tools → commands."""
