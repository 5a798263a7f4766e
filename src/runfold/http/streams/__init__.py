"""Answers that go on: the bytes of an event stream, and what sends them."""
