"""The machine that runs projections: it folds the log into tables, and keeps them right whatever is killed."""
