"""Drawing on a terminal: text, tables, trees, conversations, differences, progress bars. It knows nothing of the command line."""
