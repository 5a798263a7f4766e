"""Crash and load drivers: seeded, journalled, and checked against the log. `run.py` starts them; `make faults` runs all.

What lives where: `journal` is what clients were promised, `checks` compares it with the log, `clients` and `feeds` are
the processes under test, `crew` starts and kills them, `servers` and `disks` are what they run against, `proxy` loses
replies, `stage` holds one row together, and each other file is a family of rows.
"""
