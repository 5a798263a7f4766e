"""The key under which Runfold says more in the metadata of AG-UI's events and messages."""

KEY = "runfold"
MESSAGE = "runfold.message"
"""The type of an activity that is a message of another role, which AG-UI cannot have so."""
