"""Words, searched: what is asked for, what is found, and where it stands."""
