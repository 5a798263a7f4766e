"""Following the log: one state machine (`following`), which an iterator, the streams of a server and a remote client drive."""
