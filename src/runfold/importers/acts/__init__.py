"""What a source says happened, as plain data, and how that is recorded: for formats that tell of runs as lists of events."""
