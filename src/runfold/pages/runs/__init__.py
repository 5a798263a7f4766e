"""Runs: the list with its filters, downloads and samples, and one of them over time."""
