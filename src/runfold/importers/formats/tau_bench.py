"""tau-bench results: an array of trials in the message format of OpenAI's API.

There are no times, and no tokens. A trial has no id of its own: what was said in it is its id, so that a file may be renamed or
spaced otherwise, a score may change, and one task's trials in two files are told apart. It is written when it is over, so its
score says that it ended; where it broke, `info.error` says why. `tool_call_id` repeats, even inside one trial: a result
belongs to the open call. There is no error flag: a result that begins with `Error:` is one. Arguments are JSON in a string,
kept to the letter.
"""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from runfold.domain.json_text import canonical
from runfold.errors import InvalidEvent
from runfold.ids import stable_id
from runfold.importers.fitting import Amount
from runfold.importers.format import Format
from runfold.importers.sources import OF_A_RECORD, Piece, Report, Shape, SourceFile, document
from runfold.importers.trial_files import each, ends, reader
from runfold.importers.trials import VERSION, Called, Said, Trial


class Function(Shape):
    """What is called."""

    name: str
    arguments: str


class Call(Shape):
    """A tool call in a message."""

    id: str = ""
    function: Function


class Spoken(Shape):
    """A message of the conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str = ""


class Task(Shape):
    """What the customer wants."""

    instruction: str = ""


class Info(Shape):
    """What is known of a trial beside its messages."""

    task: Task = Task()
    user_cost: Amount | None = None
    error: str | None = None


class Record(Shape):
    """A trial, without its messages."""

    task_id: int | str
    trial: int | None = None
    reward: float | None = None
    info: dict[str, Any] = Field(default_factory=dict)


def _trials(file: SourceFile, report: Report) -> Iterator[Trial]:
    yield from each(document(file, report), report, lambda piece: _trial(piece, file.plain_name, report))


def _trial(piece: Piece, file_name: str, report: Report) -> Trial:
    members = piece.members()
    if "traj" not in members:
        raise InvalidEvent(piece.path, "is not a trial of tau-bench: it has no traj")
    is_whole = ends(piece, members["traj"])
    said = tuple(each(members["traj"], report, _said))
    values = {name: member.value() for name, member in members.items() if name != "traj"}
    found = piece.shaped(Record, values)
    info = piece.shaped(Info, found.info, "info")
    metadata = {"task_id": str(found.task_id), "trial": found.trial, "source": file_name}
    reward_info = found.info.get("reward_info")
    return Trial(
        format="tau-bench",
        id=stable_id("trial", piece.source),
        piece=piece,
        task_id=str(found.task_id),
        said=said,
        goal=info.task.instruction,
        title=f"task {found.task_id}" + ("" if found.trial is None else f" trial {found.trial}"),
        metadata={name: value for name, value in metadata.items() if value is not None},
        reward=found.reward,
        reward_info=reward_info if isinstance(reward_info, dict) else None,
        user_cost=info.user_cost,
        stop_reason="end_turn" if found.reward is not None and is_whole else None,
        failure="error" if info.error is not None else None,
        failure_message=info.error,
        told_apart_by=(stable_id("trial", str(found.task_id), str(found.trial), _talk(members["traj"])),),
    )


def _talk(messages: Piece) -> str:
    """The same for the same messages, however they are spaced."""
    try:
        return canonical({"traj": messages.value()})
    except OF_A_RECORD:
        return messages.source


def _said(piece: Piece) -> Said:
    spoken = piece.shaped(Spoken)
    return Said(
        piece=piece,
        role=spoken.role,
        text=spoken.content,
        calls=tuple(Called(call.id, call.function.name, call.function.arguments) for call in spoken.tool_calls or ()),
        answers=spoken.tool_call_id,
        is_error=spoken.role == "tool" and (spoken.content or "").startswith("Error:"),
    )


FORMAT = Format(wants=lambda name: name.endswith(".json"), read=reader(_trials), version=VERSION)
