"""Looking after a ledger: backups, restoring them, and reading the whole log for damage."""
