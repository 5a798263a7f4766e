"""Ledgers as their callers hold them: where handles come from, and what concerns no single run."""
