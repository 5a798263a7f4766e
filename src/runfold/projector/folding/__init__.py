"""How read models are folded as the log grows: who folds what, page by page, and who looks after it."""
