"""Recording interfaces of other systems, over the SDK."""
