"""Sealing what follows in the log, and how that stands."""
