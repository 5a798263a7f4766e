"""Routes that are not made from the table alone, and how those of the table are served: one file for each noun."""
