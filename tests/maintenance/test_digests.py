"""Digests that events hold of what stands in the log: whoever changes one side is named, by position and field."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import psycopg
import pytest

from runfold import Ledger
from runfold.domain.catalogue import event_types
from runfold.domain.own_digests import ELSEWHERE
from runfold.domain.values import digest
from runfold.maintenance.checking import Finding, LogCheck
from tests.databases import TestDatabase

COMPARED = {
    ("approval.requested", "arguments_digest"): "arguments_text",
    ("approval.granted", "effective_digest"): "effective_arguments_text",
    ("approval.consumed", "arguments_digest"): "arguments_digest",
    ("run.created", "request_digest"): "request_digest",
}
"""The fields that are named where a digest, or what it is of, was changed."""
OTHER = digest("something else")


def _fields_with_digests() -> Iterator[tuple[str, str]]:
    for name, kind in event_types.all().items():
        for field, info in kind.model_fields.items():
            if "sha256:" in f"{info.annotation!r} {info.metadata!r}":
                yield name, field
            for part in get_args(info.annotation):
                inner = getattr(part, "model_fields", {})
                yield from ((name, f"{field}.{each}") for each, said in inner.items() if "sha256:" in f"{said!r}")


def test_each_digest_of_each_event_type_is_compared_or_said_to_be_of_what_is_elsewhere() -> None:
    found = set(_fields_with_digests())
    assert found == COMPARED.keys() | ELSEWHERE.keys()
    assert not COMPARED.keys() & ELSEWHERE.keys()


def test_whatever_a_digest_is_of_is_named_once_either_is_changed(ledger: Ledger, database: TestDatabase) -> None:
    _record(ledger)
    assert list(LogCheck(ledger.recorder.reader).findings()) == []
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE runfold.log DISABLE TRIGGER ALL")
        seen = set()
        query = "SELECT notification_id, topic, state FROM runfold.log ORDER BY 1"
        for position, type_, state in connection.execute(query).fetchall():
            for (of, field), named in COMPARED.items():
                if of != type_:
                    continue
                seen.add((of, field))
                for changed in _changed(json.loads(state), field):
                    connection.execute(_SET, [json.dumps(changed), position])
                    found = _found(ledger)
                    assert (position, named) in found, (type_, changed)
                connection.execute(_SET, [state.decode(), position])
        assert seen == COMPARED.keys()
    assert _found(ledger) == set()


@pytest.mark.fault("I3")
def test_a_higher_sum_under_its_own_new_digest_is_still_not_what_was_asked_for(ledger: Ledger, database: TestDatabase) -> None:
    run = ledger.create_thread(agent_id="desk").start_run()
    run.request_approval("refund", arguments={"amount": "46.00"}).grant(actor="human:ada")
    text = '{"amount":"99.00"}'
    change = json.dumps({"effective_arguments_text": text, "effective_digest": digest(text)})
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE runfold.log DISABLE TRIGGER ALL")
        connection.execute(
            "UPDATE runfold.log SET state = convert_to((convert_from(state, 'UTF8')::jsonb || %s::jsonb)::text, 'UTF8')"
            " WHERE topic = 'approval.granted'",
            [change],
        )
    (finding,) = (each for each in LogCheck(ledger.recorder.reader).findings() if each.kind != "guard")
    assert (finding.kind, finding.field) == ("digest", "effective_arguments_text")
    assert "said to be as asked for, and beside the request it is not" in finding.fact


_SET = "UPDATE runfold.log SET state = convert_to(%s, 'UTF8') WHERE notification_id = %s"


def _changed(fields: dict[str, Any], field: str) -> Iterator[dict[str, Any]]:
    """The event with another digest, and with other text under the same digest."""
    yield {**fields, field: OTHER}
    match field:
        case "request_digest":
            yield {**fields, "input": {"changed": True}}
        case "effective_digest":
            yield {**fields, "effective_arguments_text": '{"amount":"99.00"}'}
        case "arguments_digest" if "arguments_text" in fields:
            yield {**fields, "arguments_text": '{"amount":"99.00"}'}


def _found(ledger: Ledger) -> set[tuple[int | None, str | None]]:
    findings: list[Finding] = list(LogCheck(ledger.recorder.reader).findings())
    assert all(finding.kind in {"digest", "guard"} for finding in findings), findings
    return {(finding.position, finding.field) for finding in findings if finding.kind == "digest"}


def _record(ledger: Ledger) -> None:
    """Runs that were asked for in every way, and approvals that were granted as asked for, edited, and used."""
    thread = ledger.create_thread(agent_id="desk")
    run = thread.start_run({"ticket": 42, "text": "ünï", "n": 1.0, "none": None})
    asked = run.request_approval("refund", arguments={"amount": "46.00"})
    asked.grant(actor="human:ada")
    other = run.request_approval("refund", arguments={"amount": "47.00"})
    other.grant(actor="human:ada", arguments={"amount": "40.00"})
    for each, amount in ((asked, "46.00"), (other, "40.00")):
        each.consume({"amount": amount}, execution_key=f"exec_{each.id}")
    run.complete()
    said = {"goal": {"id": "goal_1", "criteria": [{"id": "c", "description": "d", "target": 1.5}]}, "metadata": {"a": None}}
    second = thread.start_run(agent_id="other", parent=run.id, kind="branches", at_version=2, background=True, **said)
    thread.name_head("side", second.id)
    second.complete()
    thread.start_run([1, 2], parent="side", request_config={"m": "x"}, background=False, metadata={}, key="k1").complete()
    thread.start_run(parent=None, kind="continues", callback_result=None).complete()
