"""Sends the events of the log on, each once and in order, to what many services read from."""
