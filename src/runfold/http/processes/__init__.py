"""Several processes that serve on one port: one accepts connections and hands them on, the others answer."""
