"""The one table of commands and questions: the name, path and scope of each. HTTP, remote and command line are made from it."""
