"""The SDK, and the one door to the log."""
