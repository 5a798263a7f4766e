"""AG-UI's events in and out, and the checker of its streams. Nothing here knows a database, a network or a clock.

`run_events` makes AG-UI's events of a run as it is recorded. `content` and `kept` say what becomes of what comes in, for whoever
records it. `checker` names the first rule that a stream breaks, and `reading` finds the events in a text. `run_events` and
`checker` need what `pip install runfold[agui]` brings.
"""
