"""Following the log: the tail that all readers share, the subscription as a Python iterator, the follower of a stream."""
