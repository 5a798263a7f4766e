"""What can happen to threads, runs and approvals, and what is allowed. Pure: no database, no clock, no network."""
