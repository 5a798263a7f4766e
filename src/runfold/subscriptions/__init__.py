"""Subscriptions with a name: the server keeps how far they are, and several consumers share their events."""
