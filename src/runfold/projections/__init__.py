"""The read models, one file each: pure folds of the log into typed rows that can be thrown away and folded again."""
