"""What Prometheus is told: of the requests, of this process, and of the ledger."""
