"""The report of a bundle for people: what it shows, as a page of HTML without scripts. Nothing of it is evidence."""

import json
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from runfold.proofs.answer import AnswerRow
from runfold.proofs.claims import Claims
from runfold.proofs.leaf import Leaf, canonical
from runfold.proofs.note import Checkpoint
from runfold.proofs.records import Shown

_BEGAN = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_SHOWN = 4000
_STYLE = (
    "body{font:14px/1.4 system-ui,sans-serif;margin:2em}table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;"
    "padding:.3em .8em;border-bottom:1px solid #ccc}pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;max-width:60em}"
)


def head(checkpoint: Checkpoint, claims: Claims) -> str:
    """The page up to its first event."""
    facts = {
        "Log": checkpoint.origin,
        "Events of the log at the checkpoint": str(checkpoint.size),
        "Root": checkpoint.root.hex(),
        "Shown": ", ".join(claims.threads) or "the whole log",
    }
    if claims.absence is not None:
        of_call = f" of call {claims.absence.call}" if claims.absence.call else ""
        facts["To be absent"] = f"{claims.absence.type}{of_call} in {claims.absence.thread or 'the whole log'}"
    if claims.answer is not None:
        facts["Answer"] = f"{claims.answer.named()}, folded by version {claims.answer.version}, as of the checkpoint"
    if (sample := claims.sample) is not None:
        facts["Sample"] = f"{min(sample.n, sample.population)} of {sample.population} runs by the seed {sample.seed!r}"
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Evidence</title>'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head><body><h1>Evidence</h1>\n"
        "<p>This page is for reading and proves nothing. What proves it are the files beside it: run "
        f"<code>runfold-verify</code> on their folder.</p>\n<table>{rows}</table>\n<h2>Events</h2>\n<table>"
        "<tr><th>Position</th><th>Recorded</th><th>Event</th><th>Of</th><th>By</th><th>Payload</th></tr>\n"
    )


def row(leaf: Leaf, shown: Shown) -> str:
    """The line of an event."""
    beside = _object(shown.envelope)
    actor = _object(beside.get("metadata")).get("actor", "")
    at = _BEGAN + timedelta(microseconds=int(beside.get("recorded_at", "0")))
    payload = "(left out)" if shown.payload is None else shown.payload.decode(errors="replace")
    more = f"… ({len(payload)} characters)" if len(payload) > _MOST_SHOWN else ""
    stream = f"{leaf.stream}, version {leaf.version}"
    cells = [str(leaf.position), at.isoformat(sep=" "), leaf.type, stream, actor if isinstance(actor, str) else json.dumps(actor)]
    said = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr>{said}<td><pre>{escape(payload[:_MOST_SHOWN])}{more}</pre></td></tr>\n"


def answer(row: AnswerRow) -> str:
    """A row of the read model that is to follow from the events."""
    return f"<tr><th>Row</th><td colspan=5><pre>{escape(canonical(row.row))}</pre></td></tr>\n"


TAIL = "</table></body></html>\n"


def _object(said: Any) -> dict[str, Any]:
    if isinstance(said, bytes):
        said = json.loads(said)
    return said if isinstance(said, dict) else {}
