"""The tables of read models: made, read, written, shown to people, and exchanged for newer ones."""
