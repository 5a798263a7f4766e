"""Sessions written line by line, and what a ledger holds of them: the same, whichever way they came in."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from runfold import Ledger
from runfold.domain.compaction import ContextCompacted
from runfold.domain.message import MessageAdded, MessageRevised
from runfold.domain.run_events import RunCreated
from runfold.domain.usage import UsageCorrected, UsageRecorded

NAMESPACE = UUID("c0000000-0000-4000-8000-000000000000")
Record = dict[str, Any]


def uuid_of(name: str) -> str:
    """The uuid of a line by a short name."""
    return str(uuid5(NAMESPACE, name))


@dataclass
class Lines:
    """The lines of one session."""

    session: str
    agent: str | None = None
    records: list[Record] = field(default_factory=list)
    clock: int = 0

    def add(self, name: str, kind: str, above: str | None, message: Record | None = None, **more: Any) -> Record:
        """A line by its name, and the name of the line that it hangs from."""
        self.clock += 1
        record: Record = {
            "parentUuid": None if above is None else uuid_of(above),
            "sessionId": self.session,
            "type": kind,
            "uuid": uuid_of(name),
            "timestamp": f"2026-08-01T{10 + self.clock // 3600}:{self.clock // 60 % 60:02}:{self.clock % 60:02}.000Z",
            **({} if message is None else {"message": message}),
            **({} if self.agent is None else {"isSidechain": True, "agentId": self.agent}),
            **more,
        }
        self.records.append(record)
        return record

    def prompt(self, name: str, above: str | None, text: str | None = None, **more: Any) -> Record:
        """Somebody types."""
        return self.add(name, "user", above, {"role": "user", "content": text or f"Prompt {name}."}, **more)

    def answer(self, name: str, above: str, *blocks: Record, of: str | None = None, request: str | None = None) -> Record:
        """The agent answers; its turn ends where it calls nothing. `of` is the answer that it is a line of."""
        message_id = of or name
        parts = list(blocks) or [{"type": "text", "text": f"Answer {name}."}]
        stop = "tool_use" if any(part["type"] == "tool_use" for part in parts) else "end_turn"
        usage = {"input_tokens": 100, "output_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 0}
        message: Record = {"id": f"msg_{message_id}", "role": "assistant", "model": "claude-opus-4-8", "content": parts}
        message |= {"stop_reason": None if of is not None else stop, "usage": usage}
        return self.add(name, "assistant", above, message, requestId=request or f"req_{message_id}")

    def result(self, name: str, above: str, call: str, text: str = "done", **more: Any) -> Record:
        """A tool answers."""
        block = {"type": "tool_result", "tool_use_id": call, "content": text}
        return self.add(name, "user", above, {"role": "user", "content": [block]}, **more)

    def write(self, path: Path, lines: int | None = None) -> Path:
        """Write the first lines, or all."""
        return written(path, self.records[:lines])


def written(path: Path, records: list[Record]) -> Path:
    """Write records to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def call(name: str, tool: str = "Bash", **arguments: Any) -> Record:
    """A block that calls a tool."""
    return {"type": "tool_use", "id": name, "name": tool, "input": arguments}


def held(ledger: Ledger) -> Record:
    """What a ledger holds, in an order that does not depend on when it came: runs, messages, calls, usage, conversations."""
    threads: dict[str, None] = {}
    runs: dict[str, Any] = {}
    words: dict[str, Any] = {}
    usage: dict[str, Any] = {}
    calls: Counter[tuple[str, str]] = Counter()
    compactions = []
    superseded = {recorded.stream for recorded in ledger.subscribe(types=["thread.superseded"], follow=False)}
    for recorded in ledger.subscribe(follow=False):
        if recorded.thread_id in superseded:
            continue
        threads.setdefault(recorded.thread_id)
        match recorded.event:
            case RunCreated() as created:
                parent = created.parent
                runs[recorded.stream] = None if parent is None else (parent.run_id, parent.kind), created.agent_id
            case MessageAdded() | MessageRevised() as said:
                text = tuple(part.model_dump_json() for part in said.content)
                before = words.get(said.message_id, (recorded.stream, "", ""))
                role = (said.role, said.author) if isinstance(said, MessageAdded) else before[1]
                words[said.message_id] = (before[0], role, text)
            case UsageRecorded() as used:
                usage[used.usage_id] = used.tokens
            case UsageCorrected() as corrected:
                usage[corrected.usage_id] = corrected.replacement
            case ContextCompacted() as compacted:
                compactions.append((recorded.stream, compacted))
            case _ if recorded.type.startswith("tool."):
                calls[recorded.event.call_id, recorded.type] += 1  # type: ignore[attr-defined]
    ends = {run: (ledger.run(run).view().status, ledger.run(run).view().stop_reason) for run in runs}
    said_in = {run: [message.text for message in ledger.run(run).messages()] for run in runs}
    main = {thread: [message.text for message in ledger.thread(thread).messages()] for thread in threads}
    return {
        "runs": runs,
        "ends": ends,
        "words": words,
        "usage": usage,
        "calls": calls,
        "said": said_in,
        "main": main,
        "compactions": compactions,
    }


def without_kinds(found: Record) -> Record:
    """The same, but for whether runs that leave one message go on or are branches: that depends on which came first."""
    kinds = {"continues": "leaves", "branches": "leaves"}
    runs = {
        run: (parent and (parent[0], kinds.get(parent[1], parent[1])), agent) for run, (parent, agent) in found["runs"].items()
    }
    return {**found, "runs": runs}


def without_ids(found: Record) -> Record:
    """The same, told apart by what was said alone: for copies whose uuids are others."""
    text = {run: repr(said) for run, said in found["said"].items()}
    parents = [(text[run], parent and (text[parent[0]], parent[1]), agent) for run, (parent, agent) in found["runs"].items()]
    return {
        "runs": sorted(map(repr, parents)),
        "ends": sorted((text[run], *map(str, end)) for run, end in found["ends"].items()),
        "words": sorted((text[run], repr(role), said) for run, role, said in found["words"].values()),
        "usage": sorted(map(repr, found["usage"].values())),
        "calls": sorted(name for (_, name), count in found["calls"].items() for _ in range(count)),
        "main": sorted(map(repr, found["main"].values())),
    }
