"""What others hold of a checkpoint: places outside of the database, signatures of witnesses, stamps of the time."""
