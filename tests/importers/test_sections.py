"""Several sessions in one file, as `cat` and `zcat` leave them: each is the thread that it is in a file of its own."""

import codecs
import gzip
import json
import random
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.importers.following import Follower
from runfold.importers.formats import named
from runfold.importers.importing import import_paths
from runfold.importers.sources import SourceFile
from runfold.importers.tally import Note, Problem
from tests.importers.codex.rollouts import Rollout
from tests.importers.conftest import SessionFile, text
from tests.importers.copilot.sessions import Events
from tests.importers.counted import counts_of

Texts = list[str]


def _claude_code(number: int) -> Iterator[dict[str, Any]]:
    """A session between lines that are no messages, some without a session; one begins with a compaction."""
    session = SessionFile(Path(), session_id=f"5e551011-0000-4000-8000-00000000000{number}")
    if number == 3:
        session.add("system", "", parent=None, subtype="compact_boundary", logicalParentUuid="of another time")
    session.say(f"Question {number}?")
    session.reply(f"msg-{number}", text("Let me see."), requestId=f"req-{number}")
    session.say(f"And {number + 1}?")
    session.reply(f"msg-{number}-2", text("Done."), requestId=f"req-{number}-2")
    yield {"type": "summary", "summary": f"Of {number}", "leafUuid": "line-0"}
    yield {"type": "permission-mode", "permissionMode": "default", "sessionId": session.session_id}
    for record in session.records:
        parent = record["parentUuid"]
        yield {**record, "uuid": f"{record['uuid']}-{number}", "parentUuid": parent and f"{parent}-{number}"}
    yield {"type": "last-prompt", "lastPrompt": "And?", "sessionId": session.session_id}


def _codex(number: int) -> Iterator[dict[str, Any]]:
    """A session, of which the second is a fork of the first."""
    rollout = Rollout(session_id=f"019b0000-0000-7000-8000-00000000000{number}")
    first = Rollout(session_id="019b0000-0000-7000-8000-000000000001")
    first.meta()
    first.begin("turn-1", "Question 1?")
    first.answer("Let me see.")
    first.end("turn-1")
    rollout.meta(**({"forked_from_id": first.session_id} if number == 2 else {}))
    yield from rollout.lines
    rollout.lines.clear()
    if number == 2:
        yield from first.lines
    rollout.begin(f"turn-{number}", f"Question {number}?")
    rollout.answer("Let me see.")
    rollout.end(f"turn-{number}")
    yield from rollout.lines


def _copilot(number: int) -> Iterator[dict[str, Any]]:
    events = Events(session_id=f"{number}f0f0000-0000-4000-8000-000000000001")
    events.start()
    events.say(f"Question {number}?")
    events.reply("Let me see.", ("toolu_1", "bash"))
    events.run("toolu_1", 'A file says {"type":"session.start","data":{"sessionId":"x"}} and "session_meta".')
    events.reply("Done.")
    events.over(0)
    yield from events.records


MADE: dict[str, Callable[[int], Iterator[dict[str, Any]]]] = {
    "claude-code": _claude_code,
    "codex": _codex,
    "copilot": _copilot,
}


def _texts(format: str) -> Texts:
    return ["".join(json.dumps(record) + "\n" for record in MADE[format](number)) for number in range(1, 5)]


def _read(format: str, *files: bytes, told: list[Problem | Note] | None = None) -> dict[str, Any]:
    """What was read of each thread: its digest, its sessions, and how much it holds."""
    given = [SourceFile(f"rollout-{number}.jsonl", None, len(raw), raw) for number, raw in enumerate(files)]
    reports: list[Problem | Note] = [] if told is None else told
    found = {}
    for source in named(format).read(given, reports.append):
        counts = counts_of(source.record.args[0]).counted()  # type: ignore[attr-defined]
        found[source.thread_id] = (source.digest, sorted(source.source_ids), counts)
    return found


WRITTEN: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "after a byte order mark": lambda whole: codecs.BOM_UTF8 + whole.encode(),
    "with blank lines": lambda whole: whole.replace("\n", "\n\n \n").encode(),
    "without its last line end": lambda whole: whole[:-1].encode(),
    "packed": lambda whole: gzip.compress(whole.encode()),
    "in UTF-16": lambda whole: codecs.BOM_UTF16_LE + whole.encode("utf-16-le"),
}


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("format", MADE)
def test_sessions_in_one_file_are_what_they_are_in_files_of_their_own(format: str, written: str) -> None:
    texts = _texts(format)
    apart = _read(format, *(each.encode() for each in texts))
    assert len(apart) == (3 if format == "codex" else 4)
    for seed in range(4):
        chance = random.Random(seed)  # noqa: S311  # not a secret
        order = [*texts, chance.choice(texts)]
        chance.shuffle(order)
        assert _read(format, WRITTEN[written]("".join(order))) == apart, f"seed {seed}"


@pytest.mark.parametrize("format", MADE)
def test_a_packed_file_is_not_unpacked_for_each_of_its_sessions(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked, whole = [0], SourceFile.unpacked

    def counting(file: SourceFile) -> Iterator[bytes]:
        unpacked[0] += 1
        return whole(file)

    monkeypatch.setattr(SourceFile, "unpacked", counting)
    texts = ["".join(json.dumps(record) + "\n" for record in MADE[format](number)) for number in range(3, 10)]
    assert len(_read(format, gzip.compress("".join(texts).encode()))) == 7
    assert unpacked[0] <= 6


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_a_sub_agent_stays_with_its_session_whatever_stands_between(order: tuple[int, ...]) -> None:
    first, second, *_ = _texts("claude-code")
    agent = SessionFile(Path(), session_id="5e551011-0000-4000-8000-000000000002")
    agent.say("Look there.", isSidechain=True, agentId="x1", uuid="agent-1")
    agent.reply("msg-x", text("Nothing."), isSidechain=True, agentId="x1", uuid="agent-2", requestId="req-x")
    third = "".join(json.dumps(record) + "\n" for record in agent.records)
    texts = {"a.jsonl": first, "b.jsonl": second, "agent-x1.jsonl": third}
    whole = "".join([*texts.values()][place] for place in order)
    found = [
        [source.digest, source.source_ids, counts_of(source.record.args[0]).counted()]  # type: ignore[attr-defined]
        for files in (texts, {"all.jsonl": whole})
        for source in sorted(
            named("claude-code").read(
                [SourceFile(name, None, len(each), each.encode()) for name, each in files.items()], lambda _: None
            ),
            key=lambda source: source.thread_id,
        )
    ]
    assert len(found) == 4
    assert found[:2] == found[2:]


@pytest.mark.parametrize("format", MADE)
def test_what_is_wrong_with_a_line_names_its_place_in_the_whole_file(format: str) -> None:
    first, second, *_ = _texts(format)
    lines = [*first.splitlines(), *second.splitlines()]
    lines.insert(len(first.splitlines()) + 3, "{broken}")
    told: list[Problem | Note] = []
    _read(format, "\n".join(lines).encode(), told=told)
    assert [(problem.file, problem.line) for problem in told] == [("rollout-0.jsonl", len(first.splitlines()) + 4)]


@pytest.mark.parametrize(("processes", "is_packed"), [(1, False), (2, False), (2, True)])
@pytest.mark.parametrize("format", MADE)
def test_in_the_ledger_it_makes_no_difference_either(
    format: str, processes: int, is_packed: bool, tenants: Callable[[str], Ledger], tmp_path: Path
) -> None:
    texts, ledger = _texts(format), tenants(f"sections-{format}-{processes}-{is_packed}")
    (tmp_path / "whole").mkdir()
    for name, some in (("odd", texts[::2]), ("even", texts[1::2])):
        raw = "".join(some).encode()
        (tmp_path / "whole" / f"rollout-{name}.jsonl").write_bytes(gzip.compress(raw) if is_packed else raw)
    together = import_paths(ledger, format, [tmp_path / "whole"], processes=processes)
    apart = tmp_path / "apart"
    for number, each in enumerate(texts):
        (apart / str(number)).mkdir(parents=True)
        (apart / str(number) / f"rollout-{number}.jsonl").write_text(each)
    again = import_paths(ledger, format, [apart])
    assert (again.events, again.counted()) == (0, together.counted())
    names = {file.name for recorded in ledger.events(types=["thread.imported"]) for file in recorded.event.source_files}  # type: ignore[attr-defined]
    assert names == {"rollout-odd.jsonl", "rollout-even.jsonl"}


@pytest.mark.parametrize("format", MADE)
def test_a_session_that_is_added_to_a_file_is_followed(format: str, tenants: Callable[[str], Ledger], tmp_path: Path) -> None:
    texts, ledger = _texts(format), tenants(f"followed-{format}")
    path = tmp_path / "rollout-all.jsonl"
    follower = Follower(ledger, format, [tmp_path])
    for number in (1, 3, 4):
        path.write_text("".join(texts[:number]))
        follower.look()
    assert follower.followed.problems == 0
    position = ledger.position()
    tally = import_paths(ledger, format, [path])
    assert (tally.threads, tally.events, ledger.position()) == (3 if format == "codex" else 4, 0, position)
