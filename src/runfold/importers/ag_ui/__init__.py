"""What reads AG-UI: the files, the conversation that they hold, and what each side of a turn said."""
