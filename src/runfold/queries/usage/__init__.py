"""What model calls used and cost, added up and priced."""
