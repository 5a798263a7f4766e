"""What is served, one file for each noun: the commands and questions of the table, and what is not made from it."""
