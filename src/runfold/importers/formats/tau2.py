"""tau2-bench results: a file with many simulations, or a file that is one simulation.

Times in it are local and without zone; they are taken for UTC, so that their distances are right and their hour may not
be. Costs are binary floats, see `money`. Tokens and costs are those of the agent and of the simulated customer together;
`node_id` tells them apart (`agent`, `user_simulator`). Provider call ids may be empty, and are never keys.
"""

from collections.abc import Iterator
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from runfold.errors import InvalidEvent
from runfold.importers.fitting import Amount, Count, LocalMoment, Name
from runfold.importers.format import Format
from runfold.importers.sources import OF_A_RECORD, Piece, Report, Shape, SourceFile, document, why
from runfold.importers.trial_files import each, ends, reader
from runfold.importers.trials import AGENT, USER, VERSION, Called, Said, Trial

IN_TICKS = "simulations of voices, told in ticks, of which no words are imported"
_STOP_REASONS = {"user_stop": "end_turn", "agent_stop": "end_turn", "max_steps": "max_steps"}


class Call(Shape):
    """A tool call in a message."""

    id: str = ""
    name: str
    arguments: Any = None


class Usage(Shape):
    """Tokens of one completion."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None


class Spoken(Shape):
    """A message of the conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: list[Call] | None = None
    id: str = ""
    error: bool = False
    timestamp: LocalMoment | None = None
    cost: Amount | None = None
    usage: dict[str, Any] | None = None


class Reward(Shape):
    """How the trial was scored."""

    reward: float | None = None


class Simulation(Shape):
    """A trial, without its messages."""

    id: str = Field(min_length=1)
    task_id: str | int
    trial: int | None = None
    seed: int | None = None
    start_time: LocalMoment | None = None
    end_time: LocalMoment | None = None
    termination_reason: str | None = None
    reward_info: dict[str, Any] | None = None


class Speaker(Shape):
    """Who speaks for one side."""

    implementation: str | None = None
    llm: Name | None = None


class Environment(Shape):
    """Where it takes place."""

    domain_name: str | None = None


class Info(Shape):
    """What is the same for all simulations of a file."""

    agent_info: Speaker = Speaker()
    user_info: Speaker = Speaker()
    environment_info: Environment = Environment()


def _trials(file: SourceFile, report: Report) -> Iterator[Trial]:
    whole = document(file, report)
    members = whole.members()
    if "simulations" not in members and "messages" not in members:
        raise InvalidEvent("", "is not of tau2-bench: it has neither simulations nor messages")
    info = Info()
    if "info" in members:
        try:
            info = members["info"].shaped(Info)
        except OF_A_RECORD as error:
            report(members["info"].problem(why(error)))
    if "simulations" in members:
        yield from each(members["simulations"], report, lambda piece: _trial(piece, info, report))
    else:
        yield _trial(whole, info, report)


def _trial(piece: Piece, info: Info, report: Report) -> Trial:
    members = {name: member for name, member in piece.members().items() if member.source.strip() != "null"}
    messages = members.pop("messages", None)
    if members.pop("ticks", None) is not None:
        report(piece.note(IN_TICKS))
    said = tuple(each(messages, report, _said)) if messages else ()
    values = {name: member.value() for name, member in members.items() if name in Simulation.model_fields}
    found = piece.shaped(Simulation, values)
    score = piece.shaped(Reward, found.reward_info or {}, "reward_info")
    is_whole = ends(piece, messages)
    domain, stopped = info.environment_info.domain_name, found.termination_reason
    metadata = {
        "task_id": str(found.task_id),
        "domain": domain,
        "trial": found.trial,
        "seed": found.seed,
        "termination_reason": stopped,
        "user_model": info.user_info.llm,
    }
    return Trial(
        format="tau2",
        id=found.id,
        piece=piece,
        task_id=str(found.task_id),
        said=said,
        title=" ".join(word for word in (domain, f"task {found.task_id}", _numbered(found.trial)) if word),
        metadata={name: value for name, value in metadata.items() if value is not None},
        agent_id=info.agent_info.llm or AGENT,
        agent_model=info.agent_info.llm or None,
        user_model=info.user_info.llm or None,
        reward=score.reward,
        reward_info=found.reward_info,
        started_at=found.start_time,
        ended_at=found.end_time,
        stop_reason=_STOP_REASONS.get(stopped or "") if is_whole else None,
        failure=None if stopped is None or stopped in _STOP_REASONS or not is_whole else stopped,
        people=frozenset(side for side, speaker in _sides(info) if "human" in (speaker.implementation or "").lower()),
        told_apart_by=_key(found),
    )


def _sides(info: Info) -> tuple[tuple[str, Speaker], ...]:
    return ((AGENT, info.agent_info), (USER, info.user_info))


def _key(found: Simulation) -> tuple[str, ...]:
    """A simulation's id, which is a UUID; for any other, what else says which one it is goes with it."""
    try:
        return (str(UUID(found.id)),)
    except ValueError:
        about = (found.task_id, found.trial, found.seed, found.start_time and found.start_time.isoformat())
        return (found.id, *(str(word) for word in about))


def _numbered(trial: int | None) -> str:
    return "" if trial is None else f"trial {trial}"


def _said(piece: Piece) -> Said:
    spoken = piece.shaped(Spoken)
    tokens = piece.shaped(Usage, spoken.usage or {}, "usage")
    return Said(
        piece=piece,
        role=spoken.role,
        text=spoken.content,
        calls=tuple(Called(call.id, call.name, call.arguments) for call in spoken.tool_calls or ()),
        answers=spoken.id,
        is_error=spoken.error,
        at=spoken.timestamp,
        input_tokens=tokens.prompt_tokens,
        output_tokens=tokens.completion_tokens,
        usage=spoken.usage,
        cost=spoken.cost,
    )


FORMAT = Format(wants=lambda name: name.endswith(".json"), read=reader(_trials), version=VERSION)
