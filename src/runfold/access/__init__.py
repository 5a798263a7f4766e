"""Who asks, and how much of everything they may take: what a server knows of its callers, whatever the protocol."""
