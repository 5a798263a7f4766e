"""What a superuser can do to a sealed log: each is named by position, stream and version."""

import pytest

from runfold import Ledger
from runfold.evidence.publishing.places import path_of
from runfold.evidence.sealing.mapping import make_map
from runfold.evidence.verifying import pages
from runfold.evidence.verifying.checkpoints import Kept
from runfold.evidence.verifying.verifying import Verification

from ..stage import TABLES, Stage, put_back


def _set(change: str, at: int) -> str:
    return f"UPDATE runfold.log SET {change} WHERE notification_id = {at}"


SWAP = ";".join([_set("notification_id = 999", 4), _set("notification_id = 4", 5), _set("notification_id = 5", 999)])
CONTENTS = "originator_version, state, event_id, salt, metadata, context"
SWAP_CONTENTS = (
    f"CREATE TEMP TABLE two AS SELECT 9 - notification_id AS at, {CONTENTS} FROM runfold.log WHERE notification_id IN (4, 5);"
    "UPDATE runfold.log SET event_id = gen_random_uuid(), originator_version = 900 + notification_id"
    " WHERE notification_id IN (4, 5);"
    f"UPDATE runfold.log AS l SET ({CONTENTS}) = (SELECT {CONTENTS} FROM two WHERE two.at = l.notification_id)"
    " WHERE notification_id IN (4, 5); DROP TABLE two"
)
GRANTED = "convert_to(replace(convert_from(state, 'UTF8'), '46.00', '99.00'), 'UTF8')"
INSERT = (
    "INSERT INTO runfold.log SELECT (r).* FROM (SELECT jsonb_populate_record(l, jsonb_build_object('notification_id', {at},"
    " 'originator_version', 99, 'event_id', gen_random_uuid())) AS r FROM runfold.log AS l WHERE notification_id = 3) AS made"
)
UNSEAL = "DELETE FROM runfold.sealed_events WHERE position"

ATTACKS: dict[str, tuple[str, set[tuple[str, int | None, str | None, int | None]]]] = {
    "an approved sum was raised": (
        f"UPDATE runfold.log SET state = {GRANTED} WHERE topic = 'approval.granted'",
        {("altered", 13, "approval_1", 3)},
    ),
    "a payload": (_set("state = '{}'", 5), {("altered", 5, "run_1", 4)}),
    "an actor": (_set("""metadata = jsonb_set(metadata, '{actor,id}', '"eve"')""", 12), {("altered", 12, "approval_1", 2)}),
    "a time": (_set("recorded_at = recorded_at + interval '1 microsecond'", 5), {("altered", 5, "run_1", 4)}),
    "a time that is none": (_set("recorded_at = 'infinity'", 5), {("altered", 5, "run_1", 4)}),
    "a time before all": (_set("recorded_at = '0044-03-15 BC'", 5), {("altered", 5, "run_1", 4)}),
    "a context that nobody can read": (
        _set("context = (repeat('[', 3000) || repeat(']', 3000))::jsonb", 5),
        {("altered", 5, "run_1", 4)},
    ),
    "the checkpoints removed": ("DELETE FROM runfold.sealed_checkpoints", {("missing", None, None, None)}),
    "a thread": (_set("thread_id = 'thread_2'", 5), {("altered", 5, "run_1", 4)}),
    "a type": (_set("topic = 'run.stuck'", 5), {("altered", 5, "run_1", 4)}),
    "a salt": (_set("salt = sha256(salt)", 5), {("altered", 5, "run_1", 4)}),
    "an event removed": ("DELETE FROM runfold.log WHERE notification_id = 5", {("missing", 5, "run_1", 4)}),
    "an event removed with its leaf": (
        f"DELETE FROM runfold.log WHERE notification_id = 5; {UNSEAL} = 5",
        {("missing", 6, "run_1", 5)},
    ),
    "the last removed": (
        "DELETE FROM runfold.log WHERE notification_id > 16; UPDATE runfold.head SET position = 16",
        {("truncated", 17, "run_2", 2), ("truncated", 18, "run_2", 3)},
    ),
    "the last removed with their leaves": (
        f"DELETE FROM runfold.log WHERE notification_id > 16; UPDATE runfold.head SET position = 16; {UNSEAL} > 16",
        {("missing", None, None, None), ("altered", None, None, None)},
    ),
    "two swapped": (SWAP, {("reordered", 4, "run_1", 3), ("reordered", 5, "run_1", 4)}),
    "the contents of two swapped": (SWAP_CONTENTS, {("reordered", 4, "run_1", 3), ("reordered", 5, "run_1", 4)}),
    "the map of threads": ("UPDATE runfold.sealed_map SET hash = sha256(hash) WHERE part = 1", {("altered", None, None, None)}),
    "a leaf changed with its event": (
        _set("state = '{}'", 5) + "; UPDATE runfold.sealed_events SET payload_sha256 = sha256('x') WHERE position = 5",
        {("altered", 5, "run_1", 4)},
    ),
}


LEAF_OF_THREAD_1 = "(SELECT last_leaf FROM runfold.sealed_threads WHERE thread_id = 'thread_1')"
THREAD_2 = "UPDATE runfold.sealed_threads SET {} WHERE thread_id = 'thread_2'"

MAP_ATTACKS: dict[str, tuple[str, set[str | None], str]] = {
    "a count": (THREAD_2.format("events = 3"), {"thread_2"}, "3 events are stored of it, and it has 4 leaves"),
    "a last leaf": (THREAD_2.format(f"last_leaf = {LEAF_OF_THREAD_1}"), {"thread_2"}, "or one of another hash"),
    "a place": (THREAD_2.format("key = sha256(key)"), {"thread_2"}, "another thread's place"),
    "a thread that is left out": (
        "DELETE FROM runfold.sealed_threads WHERE thread_id = 'thread_2'",
        {"thread_2"},
        "no place in its map",
    ),
    "a thread that is none": (
        "INSERT INTO runfold.sealed_threads SELECT 'default', 1, 'thread_9', sha256('thread_9'), 1, 1, sha256('a leaf')",
        {"thread_9"},
        "it has no leaf",
    ),
    "a part below the root": (
        "UPDATE runfold.sealed_map SET hash = sha256(hash) WHERE part = (SELECT max(part) FROM runfold.sealed_map)",
        {None},
        "1 stored parts of the map",
    ),
}


def _make_the_map_anew(stage: Stage) -> None:
    """Make the stored map that of what is stored of threads, as somebody would who knows how."""
    stage.admin.execute("DELETE FROM runfold.sealed_map")
    with stage.admin.cursor(binary=True) as cursor:
        make_map(cursor, "default", 1, 0)
    (root,) = stage.admin.execute("SELECT hash FROM runfold.sealed_map WHERE part = 1")
    stage.admin.execute("UPDATE runfold.sealed_checkpoints SET map_root = %s", root)


@pytest.mark.fault("B9", "B10")
def test_a_map_that_is_not_that_of_the_leaves_is_named_by_the_thread_that_differs(stage: Stage) -> None:
    for name, (statement, threads, words) in MAP_ATTACKS.items():
        stage.admin.execute(statement)
        found = stage.found()
        assert {each.stream for each in found} == threads, (name, found)
        assert words in found[0].fact, name
        assert {(each.kind, each.field) for each in found} == {("altered", "map")}
        put_back(stage)
    stage.admin.execute(MAP_ATTACKS["a count"][0])
    _make_the_map_anew(stage)
    whole, column, thread = stage.found(stage.kept)
    assert "is not the one that its checkpoint seals" in whole.fact
    assert "has another map_root than its note says" in column.fact
    assert thread.stream == "thread_2"


def test_a_map_that_was_wrong_when_it_was_signed_is_named_by_whoever_keeps_the_checkpoint(stage: Stage) -> None:
    stage.admin.execute(THREAD_2.format("events = 3"))
    _make_the_map_anew(stage)
    stage.ledger.run("run_1").add_message("user", "one more")
    wrong = Kept(stage.seal(), "the wrong one")
    stage.admin.execute(THREAD_2.format("events = 4"))
    _make_the_map_anew(stage)
    found = stage.found(wrong, stage.kept)
    assert any("the wrong one: the map that it seals with 19 events" in each.fact for each in found), found
    assert not any("last week" in each.fact for each in found), "which was right"


@pytest.mark.fault("B9", "B10", "I3", "I4")
def test_whatever_a_superuser_changes_is_named_by_position_stream_and_version(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stage.found(stage.kept) == []
    for name, (statements, expected) in ATTACKS.items():
        for statement in statements.split(";"):
            stage.admin.execute(statement)
        found = stage.found()
        assert {(each.kind, each.position, each.stream, each.version) for each in found} == expected, (name, found)
        assert all(each.fact and each.next_step for each in found)
        with monkeypatch.context() as looked_at_whole:
            looked_at_whole.setattr(pages, "FEW", pages.PAGE)
            assert stage.found() == found, "the same, though only what differs is looked at event by event"
        put_back(stage)
    assert stage.found(stage.kept) == []


def test_an_event_that_is_put_in_behind_what_is_sealed_is_named_and_an_alarm(stage: Stage) -> None:
    stage.admin.execute("DELETE FROM runfold.log WHERE notification_id = 5")
    stage.admin.execute(f"{UNSEAL} = 5")
    stage.admin.execute(INSERT.format(at=5))
    assert ("inserted", 5, "run_1", 99) in {(each.kind, each.position, each.stream, each.version) for each in stage.found()}


def test_an_older_copy_that_was_put_back_is_known_by_what_was_published(stage: Stage) -> None:
    stage.ledger.run("run_1").add_message("user", "one more")
    newer = Kept(stage.seal(), "the folder")
    assert stage.found(newer, stage.kept) == []
    put_back(stage)
    (finding,) = stage.found(newer, stage.kept)
    assert finding.kind == "rolled back"
    assert "events 19 to 19 of the tenant were sealed once and are not here" in finding.fact


def test_two_histories_for_two_auditors_are_known_by_either_checkpoint(stage: Stage) -> None:
    stage.ledger.run("run_1").add_message("user", "for one auditor")
    first = Kept(stage.seal(), "the first auditor's")
    put_back(stage)
    stage.ledger.close()
    for path in (stage.home / "sealed").rglob("checkpoint"):
        path.unlink()  # who makes two histories publishes neither where the other is seen
    with Ledger.open(settings=stage.ledger.settings) as ledger:
        ledger.run("run_1").add_message("user", "for the other")
        other = Stage(ledger, stage.admin, stage.kept, stage.publics, stage.home)
        second = Kept(other.seal(), "the other auditor's")
        assert other.found(second, stage.kept) == []
        (finding,) = other.found(first)
        assert finding.kind == "forked"
        assert "the first auditor's" in finding.fact


def test_a_log_that_was_made_anew_with_new_hashes_is_not_the_one_that_was_published(stage: Stage) -> None:
    stage.admin.execute(f"UPDATE runfold.log SET state = {GRANTED}, salt = sha256(salt)::bytea WHERE topic = 'approval.granted'")
    stage.admin.execute("UPDATE runfold.log SET salt = substr(salt, 1, 16)")
    for table in TABLES[3:]:
        stage.admin.execute(f"DELETE FROM runfold.{table}")
    stage.admin.execute("UPDATE runfold.sealed_position SET position = 0")
    for path in (stage.home / "sealed").rglob("checkpoint"):
        path.unlink()
    stage.seal()
    assert stage.found() == []
    (finding,) = stage.found(stage.kept)
    assert finding.kind == "forked"


def test_what_was_verified_is_not_read_again_and_must_still_be_the_beginning(stage: Stage) -> None:
    with stage.ledger.recorder.store.reading() as connection:
        first = Verification(connection, stage.publics)
        assert list(first.findings()) == []
        assert first.events == stage.ledger.position()
        stage.ledger.run("run_1").add_message("user", "one more")
        stage.seal()
        later = Verification(connection, stage.publics, since=first.verified)
        assert (list(later.findings()), later.events) == ([], 1)
    (origin,) = first.verified
    before = first.verified[origin]._replace(root=bytes(32))
    (finding,) = stage.found(since={origin: before})
    assert finding.kind == "forked"


def test_checkpoints_that_are_none_or_of_nobody_known_are_said_to_be_so(stage: Stage) -> None:
    text, size = stage.kept.text, stage.kept.text.split("\n")[1]
    forged = text.replace(f"\n{size}\n", f"\n{int(size) - 1}\n", 1)
    for wrong in ("", "x\n" * 9, text + "x", forged, text.replace("— ", "- ")):
        (finding,) = stage.found(Kept(wrong, "a file"))
        assert finding.kind == "checkpoint", wrong
    stage.publics = [bytes(32)]
    assert {each.kind for each in stage.found(stage.kept)} == {"checkpoint"}


def test_a_path_in_a_place_is_the_last_part_of_the_name() -> None:
    assert path_of("runfold/ab12") == "ab12/checkpoint"
