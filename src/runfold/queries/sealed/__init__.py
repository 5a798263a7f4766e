"""What the sealed log says of events and of itself."""
