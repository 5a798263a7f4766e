"""What the rows of runs are made of: what they count, and how they get on."""
