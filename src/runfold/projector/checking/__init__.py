"""Whether folds and what they left are right: pure, the same in every process, complete, and what the log says."""
