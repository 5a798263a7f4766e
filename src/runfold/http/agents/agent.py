"""What an agent is: an async function from a run's input to AG-UI's events, or the address of another AG-UI server."""

import importlib
import importlib.util
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

import orjson

from runfold.errors import UsageError

Input = dict[str, Any]
"""A `RunAgentInput` as JSON."""
AgentFunction = Callable[[Any], AsyncIterator[Any] | Awaitable[AsyncIterator[Any]]]
"""Takes a `RunAgentInput` of `ag-ui-protocol`; gives its events, or objects that are the same as JSON."""
AgentSource = AgentFunction | str
"""An agent as it is given: a function, or the URL of an AG-UI server."""

DEMO = "demo"
_HOW = "--agent NAME=MODULE:FUNCTION, --agent NAME=https://…, or --agent demo"


class Agent(Protocol):
    """Says what it does, as AG-UI's events."""

    outlives_server: bool
    """Whether it goes on where this process dies, so that another may go to it and ask for the rest."""

    def run(self, asked: Input) -> AsyncIterator[Any]:
        """Yield its events, as JSON or as AG-UI's models. Raises whatever it likes."""


class FunctionAgent:
    """A function of this process."""

    outlives_server = False

    def __init__(self, function: AgentFunction) -> None:
        self._function = function

    async def run(self, asked: Input) -> AsyncIterator[Any]:
        """Call it with the run's input, of which it may do what it likes with all it holds, and yield what it yields."""
        from ag_ui.core import RunAgentInput  # noqa: PLC0415  only who serves agents has it

        given = self._function(RunAgentInput.model_validate_json(orjson.dumps(asked)))
        events = await given if inspect.isawaitable(given) else given
        async for event in events:
            yield event


def agent_of(source: AgentSource) -> Agent:
    """Return the agent that a source means. Raises UsageError."""
    if not isinstance(source, str):
        return FunctionAgent(source)
    if source.startswith(("http://", "https://")):
        from runfold.http.agents.remote import RemoteAgent  # noqa: PLC0415  most serve none

        return RemoteAgent(source)
    return FunctionAgent(_loaded(source))


def named_agents(given: Iterable[str]) -> dict[str, AgentSource]:
    """Read what `runfold serve --agent` was given. Raises UsageError."""
    found: dict[str, AgentSource] = {}
    for text in given:
        name, equals, source = text.partition("=")
        if not equals and text != DEMO:
            raise UsageError(f"--agent {text!r} does not say which agent that is; write {_HOW}")
        if not name or "/" in name or len(name) > 200:
            raise UsageError(f"--agent {text!r} has no name that can stand in a path; write {_HOW}")
        if name in found:
            raise UsageError(f"--agent gives the name {name!r} twice")
        found[name] = source or "runfold.http.agents.demo:demo"
        agent_of(found[name])  # one that cannot be had is told at the start
    return found


def agents_of(given: Mapping[str, AgentSource]) -> dict[str, Agent]:
    """Return agents by their names. Raises UsageError."""
    if given and importlib.util.find_spec("ag_ui") is None:
        raise UsageError("agents need the extra `agui`; install it with `pip install 'runfold[agui]'`")
    return {name: agent_of(source) for name, source in given.items()}


def _loaded(path: str) -> AgentFunction:
    module_name, _, name = path.partition(":")
    if not name:
        raise UsageError(f"{path!r} is neither MODULE:FUNCTION nor a URL; write {_HOW}")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"the agent {path!r} cannot be imported: {error}") from None
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"{module_name} has no function {name!r} that could be an agent")
    return function  # type: ignore[no-any-return]  # whether it yields events shows when it is called
