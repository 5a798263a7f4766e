"""AG-UI conversations: for each turn what the client sent (`RunAgentInput`) and the events that it got.

Turns of one conversation are tied by the name of their files, `<conversation>__Turn_<number>…`, and not by their ids, which
may be normalised for each turn; a file with another name is a conversation of its own. Events are a JSON array or a stream
of `data:` lines. A conversation is a thread, a turn is a run. `ag_ui_turns` says what becomes of each event.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from runfold.domain.values import digest
from runfold.importers.ag_ui_conversation import Conversation
from runfold.importers.ag_ui_turns import Turn
from runfold.importers.format import Format, SourceThread
from runfold.importers.sources import OF_A_RECORD, Piece, Report, SourceFile, document, why
from runfold.importers.tally import Problem

_TURN = re.compile(r"(?P<conversation>.+?)__Turn_(?P<number>\d+)")


@dataclass
class _Files:
    """The files of one conversation."""

    turns: dict[int, list[Piece]] = field(default_factory=dict)
    size: int = 0


def read(files: Sequence[SourceFile], report: Report) -> Iterator[SourceThread]:
    """The conversations in files."""
    groups: dict[str, _Files] = {}
    for file in files:
        try:
            whole = document(file, report)
        except OF_A_RECORD as error:
            report(Problem(file.name, None, why(error)))
            continue
        name, number = _place(file, whole)
        group = groups.setdefault(name, _Files())
        group.size += file.size
        group.turns.setdefault(number, []).append(whole)
    for name, group in groups.items():
        conversation = Conversation(name)
        for number in sorted(group.turns):
            _turn(number, group.turns[number], report).plan(conversation, report)
        if conversation.counts.runs:
            sources = sorted(digest(piece.source) for pieces in group.turns.values() for piece in pieces)
            yield SourceThread(
                conversation.thread_id,
                name,
                digest("\n".join(sources)),
                (name,),
                group.size,
                conversation.counts,
                conversation.record,
            )


def _place(file: SourceFile, whole: Piece) -> tuple[str, int]:
    """The conversation that a file belongs to, and its turn. Standard input has no name, so its content names it."""
    if file.path is None:
        return digest(whole.source), 1
    folder, match = file.path.resolve().parent.name, _TURN.match(file.plain_name)
    return (f"{folder}/{match['conversation']}", int(match["number"])) if match else (f"{folder}/{file.plain_name}", 1)


def _turn(number: int, pieces: Sequence[Piece], report: Report) -> Turn:
    turn = Turn(number)
    for whole in pieces:
        kind = whole.source.lstrip()[:1]
        try:
            if kind == "{":
                turn.request = whole
            elif kind == "[":
                _collect(turn, whole, report)
            elif whole.source.lstrip().startswith(("data:", "event:", "id:", ":")):
                turn.events.extend(_streamed(whole))
                turn.has_response = True
            elif kind:
                report(whole.problem("is neither a RunAgentInput nor events of AG-UI"))
        except OF_A_RECORD as error:
            report(whole.problem(why(error)))
    return turn


def _collect(turn: Turn, whole: Piece, report: Report) -> None:
    turn.has_response = True
    try:
        turn.events.extend(whole.elements())
    except OF_A_RECORD as error:
        report(whole.problem(f"{why(error)}; what stands before it goes in"))


def _streamed(whole: Piece) -> Iterator[Piece]:
    """The events in a captured stream of server-sent events, one in each `data:` line."""
    at = 0
    for index, line in enumerate(whole.text.split("\n")):
        if line.startswith("data:"):
            yield whole.part(at + len("data:"), at + len(line), str(index))
        at += len(line) + 1


FORMAT = Format(wants=lambda name: name.endswith((".json", ".sse")), read=read)
