"""Agents that are served: what runs them, what is recorded of them as they speak, and what their clients are shown."""
