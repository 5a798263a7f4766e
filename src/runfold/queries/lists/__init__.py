"""How lists are asked for: their parameters, what narrows them, and where the next page begins."""
