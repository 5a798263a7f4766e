"""Questions about goals: listed, how far each has come, and what repeats over all runs towards one."""
