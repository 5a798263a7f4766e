"""Where questions are answered: read models at one moment, now or in the past."""
