"""Events that were damaged where they stand, as only a superuser can, or a disk: what of them cannot be read."""

import psycopg

from runfold import Ledger
from runfold.evidence.sealer import Sealer
from tests.databases import TestDatabase

IDS = {"thread_id": "thread_1", "run_id": "run_1", "run_a": "run_1", "run_b": "run_2", "approval_id": "approval_1"}
POSITION = 4
"""Of a message of `run_1`."""

TIMES = ("infinity", "-infinity", "0044-03-15 BC", "10001-01-01")
"""What PostgreSQL holds and Python cannot."""
_SAID = {
    "infinity": '"infinity"',
    "words": '"one day"',
    "a number": "5",
    "year 10001": '"10001-01-01T00:00:00+00:00"',
}
_DEEP = "repeat('[', 3000) || repeat(']', 3000)"
DAMAGES = {
    **{f"recorded at {time}": f"recorded_at = '{time}'" for time in TIMES},
    **{
        f"occurred at {name}": f"metadata = jsonb_set(metadata::jsonb, '{{occurred_at}}', '{said}')::json"
        for name, said in _SAID.items()
    },
    "metadata that is a list": "metadata = '[1]'",
    "metadata nested deep": f"metadata = ({_DEEP})::json",
    "context that is a list": "context = '[1]'",
    "context nested deep": f"context = ({_DEEP})::json",
    "payload that is a list": "state = '[]'",
    "payload that is cut off": "state = '{\"role\":'",
    "payload that is no UTF-8": r"state = '\xff'",
    "payload without its fields": "state = '{}'",
}
"""What is set of an event, by what is wrong with it then."""


def record(ledger: Ledger) -> None:
    """Record a thread with two runs, sealed and folded, of which an event is to be damaged."""
    thread = ledger.create_thread(thread_id="thread_1", agent_id="desk")
    run = thread.start_run(run_id="run_1")
    run.add_message("user", "hello")
    run.request_approval("refund", approval_id="approval_1")
    run.branch(at_version=2, run_id="run_2")
    Sealer(ledger).seal_all()
    ledger.fold()


def damage(database: TestDatabase, position: int, what: str) -> str:
    """Damage the event at a position; return its stream."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER USER")
        query = f"UPDATE runfold.log SET {DAMAGES[what].replace('%', '%%')} WHERE notification_id = %s RETURNING originator_id"
        ((stream,),) = admin.execute(query, [position]).fetchall()
    return str(stream)


def names_the_event(said: str, position: int) -> bool:
    """Return whether an error names the event that cannot be read, and what to do."""
    return f"position {position}" in said and "runfold check" in said and "defect" not in said and "unexpected" not in said
