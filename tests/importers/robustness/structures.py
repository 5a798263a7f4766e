"""Sources of every format whose records hang together in one way many times: chains, siblings, one id again and again.

Each structure is made for any number; a file is as long as that. A format without structures fails the tests.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.importers.ag_ui import chats
from tests.importers.claude.told import Lines, call
from tests.importers.codex.rollouts import Rollout
from tests.importers.copilot.sessions import Events
from tests.importers.inspect import logs
from tests.importers.made_trials import calls, results, said, simulation
from tests.importers.otlp import traces

Files = dict[str, bytes]
Structure = Callable[[int], Files]
Record = dict[str, Any]


def jsonl(records: Iterable[Any]) -> bytes:
    """A record a line."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def timed(records: list[Record]) -> list[Record]:
    """The records, of which each is a second after the one before, however many there are."""
    for number, record in enumerate(records):
        record["timestamp"] = (datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=number)).isoformat()
    return records


# Claude Code


def claude(tell: Callable[[Lines, int], None]) -> Structure:
    """One session, which begins with a prompt."""

    def made(count: int) -> Files:
        told = Lines("s")
        told.prompt("u", None)
        tell(told, count)
        return {"s.jsonl": jsonl(timed(told.records))}

    return made


def rewound(told: Lines, count: int) -> None:
    told.answer("a", "u")
    for number in range(count):
        told.prompt(f"u{number}", "a")
        told.answer(f"a{number}", f"u{number}")


def asked(told: Lines, count: int) -> None:
    questions = [{"question": f"Q{n}?", "options": [{"label": "A"}, {"label": "B"}]} for n in range(count)]
    many = [{"question": "Which?", "multiSelect": True, "options": [{"label": f"o{n}"} for n in range(count)]}]
    told.answer("a", "u", call("t", "AskUserQuestion", questions=questions), call("t2", "AskUserQuestion", questions=many))
    begin = "User has answered your questions: "
    told.result("r", "a", "t", begin + ", ".join(f'"Q{n}?"="A"' for n in range(count)) + ". You can now go on")
    told.result("r2", "r", "t2", f'{begin}"Which?"="{", ".join(f"o{n}" for n in range(count))}". You can now go on')


def one_id(told: Lines, count: int) -> None:
    for number in range(count):
        told.answer(f"a{number}", f"a{number - 1}" if number else "u", call("t", n=number))
    for number in range(count):
        told.result(f"r{number}", f"r{number - 1}" if number else f"a{count - 1}", "t")


def equal_parts(told: Lines, count: int) -> None:
    told.answer("a", "u", *({"type": "text", "text": "same"} for _ in range(count)), of="one")
    for number in range(count):
        told.answer(f"a{number}", "u", {"type": "text", "text": f"w{number}"}, of="one")


def agents(count: int) -> Files:
    told = Lines("s")
    told.prompt("u", None)
    told.answer("a", "u", call("t0", "Agent", prompt="P0"))
    files = {"s.jsonl": jsonl(told.records)}
    for number in range(count):
        one = Lines("s", agent=f"x{number}")
        one.prompt(f"p{number}", None, f"P{number}")
        one.answer(f"q{number}", f"p{number}", call(f"t{number + 1}", "Agent", prompt=f"P{number + 1}"))
        one.result(f"r{number}", f"q{number}", f"t{number + 1}", toolUseResult={"agentId": f"x{number + 1}"})
        files[f"agent-x{number}.jsonl"] = jsonl(timed(one.records))
    return files


# Codex


def uuid(number: int) -> str:
    return f"019b0000-0000-7000-8000-{number:012x}"


def spawn_chain(count: int) -> Files:
    files = {}
    for number in range(count):
        above = {"subagent": {"thread_spawn": {"parent_thread_id": uuid(number - 1), "depth": number}}}
        one = Rollout(uuid(number))
        one.meta(**({"source": above} if number else {}))
        one.begin(uuid(10**6 + number), "Do.")
        one.call(f"c{number}", name="spawn_agent")
        one.output(f"c{number}", json.dumps({"agent_id": uuid(number + 1)}))
        files[f"rollout-{number}.jsonl"] = one.text().encode()
    return files


def rolled_back(count: int) -> Files:
    one = Rollout()
    one.meta()
    for number in range(count):
        one.begin(uuid(number), f"Prompt {number}.")
        one.call("c")
    for _ in range(count):
        one.output("c", "done")
        one.event("thread_rolled_back", num_turns=1)
    return {"rollout.jsonl": jsonl(timed(one.lines))}


# Copilot


def nested_agents(count: int) -> Files:
    told, above = Events(), None
    told.start()
    told.say("Go.")
    for number in range(count):
        told.reply("", (f"t{number}", "task"), agent=above)
        above = f"t{number}"
        about = {"toolCallId": above, "agentName": "x", "agentDisplayName": "X", "agentDescription": ""}
        told.add("subagent.started", agent=above, **about)
    for number in reversed(range(count)):
        told.done(f"t{number}", agent=f"t{number - 1}" if number else None)
    return {"s/events.jsonl": jsonl(timed(told.records))}


def open_calls(count: int) -> Files:
    told = Events()
    told.start()
    for number in range(count):
        told.say("Go.")
        told.reply("", (f"t{number}", "bash"))
    for number in reversed(range(count)):
        told.run(f"t{number}")
    return {"s/events.jsonl": jsonl(timed(told.records))}


# Inspect


def inspected(tell: Callable[[logs.SampleLog, int], None]) -> Structure:
    def made(count: int) -> Files:
        sample = logs.SampleLog()
        tell(sample, count)
        for event in sample.events:
            event.pop("completed", None)
            event["input"] = event.get("input", [])[-3:]
        done = {**sample.done(), "events": timed(sample.events)}
        return {"log.json": json.dumps({**logs.header(), "samples": [done]}).encode()}

    return made


def spans(kind: str) -> Callable[[logs.SampleLog, int], None]:
    def tell(sample: logs.SampleLog, count: int) -> None:
        for number in range(count):
            above = f"s{number - 1}" if number else None
            sample.event("span_begin", id=f"s{number}", parent_id=above, type=kind, name="x", span_id=f"s{number}")
        for number in range(count):
            sample.answer(f"m{number}")["span_id"] = f"s{number}"

    return tell


def one_call(sample: logs.SampleLog, count: int) -> None:
    sample.answer("m", "x", *(logs.call("c") for _ in range(count)))
    for number in range(count):
        sample.result("c", "done", f"r{number}")


# AG-UI


def stream(*events: chats.Event) -> Files:
    return {"1.events.json": json.dumps([chats.started(), *events, chats.finished()]).encode()}


def same_words(count: int) -> Files:
    sent = [chats.user("yes", f"u{number}") for number in range(count)]
    return {**stream(*chats.said("m", "Hi")), "1.request.json": json.dumps(chats.requested("r1", *sent)).encode()}


def one_call_sent(count: int) -> Files:
    made = [{"id": "c", "type": "function", "function": {"name": "x", "arguments": "{}"}}] * count
    answers = [{"id": f"t{n}", "role": "tool", "toolCallId": "c", "content": f"x{n}"} for n in range(count)]
    messages: list[Record] = [{"id": "m", "role": "assistant", "content": "", "toolCalls": made}, *answers]
    request = json.dumps(chats.requested("r1", *messages)).encode()
    return {**stream({"type": "MESSAGES_SNAPSHOT", "messages": messages}), "1.request.json": request}


def steps(count: int) -> Files:
    begun = [{"type": "STEP_STARTED", "stepName": f"s{number}"} for number in range(count)]
    return stream(*begun, *({"type": "STEP_FINISHED", "stepName": event["stepName"]} for event in reversed(begun)))


# tau-bench, tau2


def trial(count: int) -> Files:
    messages = [said("assistant", None, tool_calls=calls(*["look"] * count)), *[said("tool", "seen", id="")] * count]
    return {"results.json": json.dumps(results(simulation("one", messages=messages))).encode()}


def trajectory(count: int) -> Files:
    made = [{"id": "c", "function": {"name": "x", "arguments": "{}"}, "type": "function"}] * count
    answers = [{"role": "tool", "content": "x", "tool_call_id": "c", "name": "x"}] * count
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None, "tool_calls": made}, *answers]
    return {"trials.json": json.dumps([{"task_id": 1, "trial": 0, "reward": 1, "info": {}, "traj": said}]).encode()}


# OTLP


def one_trace(count: int) -> Files:
    return {
        "traces.jsonl": jsonl(
            traces.request(traces.agent(number, conversation=f"c{number}", at=number)) for number in range(1, count + 1)
        )
    }


STRUCTURES: Mapping[str, Mapping[str, Structure]] = {
    "ag-ui": {"same words": same_words, "one call": one_call_sent, "steps": steps},
    "claude-code": {
        "rewound": claude(rewound),
        "questions": claude(asked),
        "one id": claude(one_id),
        "equal parts": claude(equal_parts),
        "agents": agents,
    },
    "codex": {"chain of sessions": spawn_chain, "rolled back": rolled_back},
    "copilot": {"nested agents": nested_agents, "open calls": open_calls},
    "inspect": {"agents": inspected(spans("agent")), "spans": inspected(spans("x")), "one call": inspected(one_call)},
    "otlp": {"conversations of a trace": one_trace},
    "tau-bench": {"one call": trajectory},
    "tau2": {"one call": trial},
}
"""By format, each with what it is like."""
