"""Words to be searched: what an event says, split, labelled and digested."""
