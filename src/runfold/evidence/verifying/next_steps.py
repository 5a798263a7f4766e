"""What is to be done about what verification finds."""

CHANGED = "compare it with a backup of before; the database refuses changes, so somebody with the rights of a superuser made one"
LOST = "restore the events from a backup, and find out who had the rights of a superuser"
