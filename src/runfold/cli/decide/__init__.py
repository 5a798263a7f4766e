"""The commands by which people and workers have a say in runs."""
