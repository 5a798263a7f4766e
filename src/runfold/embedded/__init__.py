"""The PostgreSQL that the package brings: find it, place it, start it, watch it. Knows nothing of ledgers."""
