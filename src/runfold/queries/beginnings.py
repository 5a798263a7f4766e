"""Ids that begin with a text, for people who write no more of one than tells it from the others."""

from typing import NamedTuple

from runfold.errors import ReadModelBehind
from runfold.queries.reading import Reading
from runfold.store.queries import filled, named_queries
from runfold.store.reading.filter import LAST_CHARACTER

STREAMS = ("thread", "run", "approval")
"""What has a stream of its own: its ids are looked up in the log."""


_QUERIES = named_queries("runfold.queries", "beginnings.sql")


class Column(NamedTuple):
    """Where the ids of what happens inside a run are."""

    read_model: str
    name: str


COLUMNS = {
    "call": Column("tool_calls", "call_id"),
    "message": Column("messages", "message_id"),
    "decision": Column("decision_log", "decision_id"),
    "problem": Column("problems", "problem_id"),
}


def ids_beginning_with(reading: Reading, kind: str, text: str, limit: int) -> list[str]:
    """The ids of a kind that begin with a text and were there at the reading's moment, in order, at most `limit`.

    Of a read model that cannot be read there are none: who asks it for rows is told why.
    """
    prefix = f"{kind}_"
    if kind in STREAMS:
        if not text.startswith(prefix):
            if not prefix.startswith(text):
                return []
            text = prefix
        return reading.reader.streams_beginning_with(text, up_to=reading.up_to, limit=limit)
    column = COLUMNS[kind]
    query = filled(_QUERIES["ids beginning with"], column=column.name, read_model=f"{{{column.read_model}}}")
    try:
        with reading.read_models.reading(column.read_model) as snapshot:
            tenant, end = snapshot.tenant_id, text + LAST_CHARACTER
            asked = [tenant, text, tenant, end, tenant, tenant, end, limit]
            return [found for (found,) in snapshot.query(query, asked)]
    except ReadModelBehind:
        return []
