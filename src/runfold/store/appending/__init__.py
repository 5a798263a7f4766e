"""How commands get into the log: what waits goes into one transaction, and each gets its own answer."""
