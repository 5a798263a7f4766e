"""Events and read models as files, for those who analyse."""
