"""How the log is read: pages, stretches, and what of it somebody asks for."""
