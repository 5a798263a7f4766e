"""What the commands share: which ledger a call opens, its options, its lists, and who calls."""
