"""Made-up logs of Inspect: samples put together event by event, and the files that hold them."""

import json
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zstandard

STORED, DEFLATE, ZSTANDARD = 0, 8, 93


def moment(second: float) -> str:
    """A time so many seconds into the sample."""
    return f"2026-03-01T10:{int(second) // 60:02}:{second % 60:09.6f}+00:00"


def message(role: str, content: Any, id: str | None, **more: Any) -> dict[str, Any]:
    """A chat message."""
    return {"role": role, "content": content, **({} if id is None else {"id": id}), **more}


def call(id: str, function: str = "bash", **arguments: Any) -> dict[str, Any]:
    """A tool call of an answer."""
    return {"id": id, "function": function, "arguments": arguments, "type": "function"}


def usage(input_tokens: int = 100, output_tokens: int = 10, **more: Any) -> dict[str, Any]:
    """What a call used."""
    return {"input_tokens": input_tokens, "output_tokens": output_tokens, "total_tokens": input_tokens + output_tokens, **more}


class SampleLog:
    """A sample of a log, told event by event."""

    def __init__(self, id: str | int = "one", uuid: str | None = "sample-1", epoch: int = 1) -> None:
        self.value: dict[str, Any] = {"id": id, "epoch": epoch, "input": "What is it?", "target": "42"}
        if uuid is not None:
            self.value["uuid"] = uuid
        self.value |= {"messages": [], "events": [], "started_at": moment(0)}
        self.events: list[dict[str, Any]] = self.value["events"]
        self.heard: list[dict[str, Any]] = [message("user", "What is it?", "m-0", source="input")]

    def event(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Any event."""
        number = len(self.events) + 1
        event = {"event": kind, "uuid": f"e-{number}", "timestamp": moment(number), "span_id": None, **fields}
        self.events.append({name: value for name, value in event.items() if value is not None})
        return self.events[-1]

    def answer(self, id: str | None, content: Any = "I see.", *calls: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The model hears all that was said, and answers."""
        said = message("assistant", content, id, source="generate", model="gpt-4o", **({"tool_calls": [*calls]} if calls else {}))
        output = {"model": "gpt-4o", "choices": [{"message": said, "stop_reason": "stop"}], "usage": usage()}
        fields = {"model": "openai/gpt-4o", "input": [*self.heard], "output": output | more.pop("output", {}), **more}
        event = self.event("model", completed=moment(len(self.events) + 1.5), **fields)
        self.heard.append(said)
        return event

    def result(self, call_id: str, result: Any = "done", message_id: str | None = None, **more: Any) -> dict[str, Any]:
        """A tool ran, and its message is heard by the next model call."""
        completed = moment(len(self.events) + 1.5)
        fields = {"id": call_id, "function": "bash", "arguments": {}, "result": result, "completed": completed, **more}
        event = self.event("tool", message_id=message_id, **fields)
        if message_id is not None:
            error = {"error": more["error"]} if "error" in more else {}
            self.heard.append(message("tool", result, message_id, tool_call_id=call_id, function="bash", **error))
        return event

    def approval(self, asked: dict[str, Any], decision: str, approver: str = "auto", **more: Any) -> dict[str, Any]:
        """An approver's verdict."""
        return self.event("approval", message="May I?", call=asked, approver=approver, decision=decision, **more)

    def done(self, **more: Any) -> dict[str, Any]:
        """The whole sample, ended."""
        self.value["messages"] = [*self.heard]
        return {**self.value, "completed_at": moment(len(self.events) + 2), **more}


def header(status: str = "success", **about: Any) -> dict[str, Any]:
    """What is said of a log as a whole."""
    evaluation = {
        "eval_id": "eval-1",
        "run_id": "run-1",
        "created": moment(0),
        "task": "riddles",
        "task_id": "task-1",
        "dataset": {"name": "riddles", "samples": 1},
        "model": "openai/gpt-4o",
        "config": {},
        **about,
    }
    return {"version": 2, "status": status, "eval": evaluation, "plan": {"steps": [{"solver": "react"}]}}


def json_log(path: Path, *samples: Any, status: str = "success", **about: Any) -> Path:
    """A log as one document."""
    path.write_text(json.dumps({**header(status, **about), "samples": [*samples]}, indent=1))
    return path


def eval_log(path: Path, *samples: Any, status: str = "success", method: int = ZSTANDARD, **about: Any) -> Path:
    """A log as a zip."""
    members = {"_journal/start.json": {name: value for name, value in header(status, **about).items() if name != "status"}}
    for sample in samples:
        members[f"samples/{sample['id']}_epoch_{sample['epoch']}.json"] = sample
    if status != "started":
        members["header.json"] = header(status, **about)
    return zip_file(path, {name: json.dumps(value).encode() for name, value in members.items()}, method)


def _deflated(raw: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(raw) + packer.flush()


PACK: Mapping[int, Callable[[bytes], bytes]] = {
    STORED: bytes,
    DEFLATE: _deflated,
    ZSTANDARD: lambda raw: zstandard.ZstdCompressor().compress(raw),
}


def zip_file(path: Path, members: Mapping[str, bytes], method: int, *, directory: bool = True) -> Path:
    """A zip with members packed by any method, which Python's own writer does not know."""
    local, central = bytearray(), bytearray()
    for name, raw in members.items():
        packed, encoded = PACK.get(method, bytes)(raw), name.encode()
        sizes = (zlib.crc32(raw), len(packed), len(raw), len(encoded), 0)
        central += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 63, 63, 0, method, 0, 0, *sizes, 0, 0, 0, 0, len(local)) + encoded
        local += struct.pack("<4s5H3L2H", b"PK\x03\x04", 63, 0, method, 0, 0, *sizes) + encoded + packed
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(members), len(members), len(central), len(local), 0)
    path.write_bytes(bytes(local + central + end) if directory else bytes(local))
    return path
