"""Evidence that the log was not changed: sealing it, publishing checkpoints, and verifying it against them."""
