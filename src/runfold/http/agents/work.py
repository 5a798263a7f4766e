"""The runs that agents of this process are at work on: each is recorded to its end, whoever watches or hangs up."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from runfold.agui.conversation import Conversation
from runfold.commands.caller import Caller
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCancelled, RunCompleted, RunCreated, RunFailed, RunMetadataMerged, RunStarted
from runfold.domain.tool_call import ToolCalled
from runfold.domain.values import Actor
from runfold.errors import CancellationRequested, CommandRefused, LedgerError, LedgerUnavailable, NotFound, TooBusy
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.history.path import thread_tree
from runfold.http.agents.agent import Agent, Input
from runfold.http.agents.ending import INTERRUPTS
from runfold.http.agents.intake import INTERRUPTED, KEY, Claimant
from runfold.http.agents.past import path_events
from runfold.http.agents.recorder import Recorder, RunEndedError
from runfold.http.agents.words import BrokenStreamError
from runfold.ids import new_id
from runfold.ledger import Ledger

AWAY_SECONDS = 1.0
"""How long to wait before the database is asked again."""
_ENDINGS = RunCompleted | RunFailed | RunCancelled
_log = structlog.get_logger("runfold.agents")


@dataclass(frozen=True)
class Job:
    """A run to work on."""

    tenant_id: str
    thread_id: str
    run_id: str
    agent_name: str


class Work:
    """Starts agents, records what they say, and takes over what a process that died has left."""

    def __init__(self, ledger: Ledger, agents: Mapping[str, Agent], lease_seconds: float, most_runs: int) -> None:
        self.agents = agents
        self.claimant = Claimant(f"{socket.gethostname()}:{os.getpid()}", timedelta(seconds=lease_seconds))
        self._most_runs, self._beginning = most_runs, 0
        self._ledger = ledger
        self._at_work: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._is_closing = False

    @contextlib.contextmanager
    def room(self) -> Iterator[None]:
        """Keep a place for a run that is about to begin. Raises TooBusy where so many are at work that no more is begun."""
        if len(self._at_work) + self._beginning >= self._most_runs or self._is_closing:
            raise TooBusy(f"{len(self._at_work)} agents are at work already", 1.0)
        self._beginning += 1
        try:
            yield
        finally:
            self._beginning -= 1

    def begin(self, job: Job, execution: str, events: Sequence[Recorded]) -> None:
        """Let an agent work on a run that was recorded, and claimed. `events` are those of its path."""
        self._spawn(job, execution, events, is_joined=False)

    def is_at_work(self, tenant_id: str, run_id: str) -> bool:
        """Return whether an agent of this process is at work on a run."""
        return (tenant_id, run_id) in self._at_work

    async def revive(self, job: Job) -> None:
        """Take a run over whose worker is gone: ask its agent for the rest, or let it fail. Nothing where somebody has it."""
        if self.is_at_work(job.tenant_id, job.run_id) or self._is_closing or job.agent_name not in self.agents:
            return
        execution = new_id("exec")
        try:
            claimed = (
                self._of_agent(job)
                .run(job.run_id)
                .submit_claim(self.claimant.worker, lease=self.claimant.lease, execution_id=execution, take_over=True)
            )
            await claimed
        except (CommandRefused, NotFound):
            return  # somebody has it, or it has ended
        self._spawn(job, execution, None, is_joined=True)

    async def close(self) -> None:
        """Stop: agents of this process end, and runs of others' are given back for the next who comes."""
        self._is_closing = True
        tasks = list(self._at_work.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, job: Job, execution: str, events: Sequence[Recorded] | None, *, is_joined: bool) -> None:
        key = job.tenant_id, job.run_id
        if key in self._at_work:
            return
        working = _Working(self._of_agent(job), job, self.agents[job.agent_name], self.claimant.lease)
        task = asyncio.ensure_future(working.run(execution, events, is_joined=is_joined))
        self._at_work[key] = task
        task.add_done_callback(lambda done: self._done(key, done))

    def _done(self, key: tuple[str, str], task: "asyncio.Task[None]") -> None:
        self._at_work.pop(key, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("recording an agent's run failed", run_id=key[1], exc_info=error)

    def _of_agent(self, job: Job) -> TenantLedger:
        return self._ledger.on_behalf(Caller(job.tenant_id, Actor(kind="agent", id=job.agent_name)))


class _Working:
    """One run, from its claim to its end."""

    def __init__(self, ledger: TenantLedger, job: Job, agent: Agent, lease: timedelta) -> None:
        self._ledger, self._job, self._agent, self._lease = ledger, job, agent, lease
        self._run = ledger.run(job.run_id)
        self._recorder: Recorder

    async def run(self, execution: str, events: Sequence[Recorded] | None, *, is_joined: bool) -> None:
        """Work on it, from the events of its path; on one that is taken over, where those have come to."""
        renewing = asyncio.ensure_future(self._renew(execution, asyncio.current_task()))
        try:
            events = await self._read() if events is None else events
        except BaseException:
            renewing.cancel()
            raise
        if any(each.stream == self._job.run_id and isinstance(each.event, _ENDINGS) for each in events):
            renewing.cancel()
            return  # somebody ended it while the database was away
        asked, self._recorder = self._prepared(events, is_joined=is_joined)
        try:
            if is_joined and not self._agent.outlives_server:
                await self._fail("the server stopped while its agent was at work; send a new run to go on", INTERRUPTED)
                return
            await self._work(asked)
        except asyncio.CancelledError:
            await asyncio.shield(self._stop(execution, self._is_unwanted))
            raise
        finally:
            renewing.cancel()

    _is_unwanted = False

    async def _work(self, asked: Input) -> None:
        try:
            await self._follow(self._agent.run(asked))
            if not self._recorder.is_over:
                await self._fail("the agent's events ended before the run did", "incomplete")
        except RunEndedError:
            return
        except BrokenStreamError as broken:
            await self._fail(f"the agent broke a rule of AG-UI: {broken}", broken.rule)
        except LedgerUnavailable:
            await self._fail("the ledger could not be written to while the agent was at work", "ledger_unavailable")
        except Exception as error:  # whatever an agent raises is how its run ended
            _log.warning("an agent failed", run_id=self._job.run_id, agent=self._job.agent_name, exc_info=error)
            await self._fail(f"{type(error).__name__}: {error}"[:2000], "agent_failed")

    async def _follow(self, events: AsyncIterator[Any]) -> None:
        """Record what comes, all of it in this one task: what an agent opened in one is to be closed in it."""
        recorder, coming, task = self._recorder, aiter(events), asyncio.current_task()
        try:
            async for event in coming:
                if task is not None and task.cancelling():
                    raise asyncio.CancelledError  # which the agent has kept to itself
                await recorder.take(event)
            await recorder.flush()
            await recorder.settle()
        finally:
            if (close := getattr(coming, "aclose", None)) is not None:
                with contextlib.suppress(Exception):
                    await close()

    async def _fail(self, message: str, code: str) -> None:
        """End the run as failed, with all that was recorded; while the database is away, wait for it."""
        recorder = self._recorder
        while True:
            try:
                recorder.streaming.flush()
                await recorder.settle()
                if not recorder.is_over:
                    recorder.is_over = True
                    recorder.close_open()
                    recorder.ending.fail(message, code)
                await recorder.settle()
            except LedgerUnavailable as error:
                if not error.retriable:
                    return
                recorder.is_over = False
                await asyncio.sleep(AWAY_SECONDS)
            except (RunEndedError, BrokenStreamError):
                return
            else:
                return

    async def _stop(self, execution: str, is_unwanted: bool) -> None:
        """The server stops, or somebody asked the run to."""
        if is_unwanted:
            with contextlib.suppress(LedgerError):
                self._recorder.streaming.flush()
                await self._recorder.settle()
                await self._run.submit_cancel("asked to stop")
        elif self._agent.outlives_server:
            with contextlib.suppress(LedgerError, RunEndedError):
                self._recorder.streaming.flush()
                await self._recorder.settle()
                await self._run.submit_release(execution, "the server stops")
        else:
            await self._fail("the server stopped while its agent was at work; send a new run to go on", INTERRUPTED)

    async def _renew(self, execution: str, working: "asyncio.Task[Any] | None") -> None:
        """Keep the run, and hear whether somebody wants it to stop."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            try:
                await self._run.submit_renew(execution, lease=self._lease)
            except CancellationRequested:
                self._is_unwanted = True
                if working is not None:
                    working.cancel()
                return
            except LedgerUnavailable:
                continue
            except LedgerError:  # it has ended, it waits, or somebody else has it
                return

    async def _read(self) -> list[Recorded]:
        """Return the events of its path; while the database is away, wait for it."""
        while True:
            try:
                return await asyncio.to_thread(self._events)
            except LedgerUnavailable as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(AWAY_SECONDS)

    def _events(self) -> list[Recorded]:
        reader = self._ledger.now.reader
        return path_events(reader, thread_tree(reader, self._job.thread_id), self._job.run_id)

    def _prepared(self, events: Sequence[Recorded], *, is_joined: bool) -> tuple[Input, Recorder]:
        """Return what the agent is asked, and who records what it says."""
        job, created = self._job, _created(events, self._job.run_id)
        given_first, conversation = Conversation(), Conversation()
        is_begun = False
        for recorded in events:
            is_begun = is_begun or (recorded.stream == job.run_id and isinstance(recorded.event, RunStarted))
            conversation.take(recorded)
            if not is_begun:
                given_first.take(recorded)
        about = created.metadata.get(KEY) or {}
        shown = about.get("threadId", job.thread_id), about.get("runId", job.run_id)
        given = created.input if isinstance(created.input, dict) else {}
        asked: Input = {
            "threadId": shown[0],
            "runId": shown[1],
            "protocolVersion": "1.0",
            "messages": [message for message in given_first.as_messages() if message["role"] != "activity"],
            "state": given_first.state if given_first.has_state else {},
            "tools": given.get("tools") or [],
            "context": given.get("context") or [],
            "forwardedProps": given.get("forwardedProps") or {},
        }
        if created.parent is not None:
            asked |= _after(events, created.parent.run_id, about)
        recorder = Recorder(self._ledger, job.thread_id, job.run_id, shown, given_first)
        if is_joined:
            whole = frozenset(each.event.call_id for each in events if isinstance(each.event, ToolCalled))
            recorder.resume(conversation, whole)
        return asked, recorder


def _created(events: Iterable[Recorded], run_id: str) -> RunCreated:
    return next(each.event for each in events if each.stream == run_id and isinstance(each.event, RunCreated))


def _after(events: Sequence[Recorded], parent_id: str, about: Mapping[str, Any]) -> Input:
    """Return what the agent is told of the run before: its id, and the answers by the ids that it gave to its questions."""
    parent = _created(events, parent_id).metadata.get(KEY)
    found: Input = {"parentRunId": parent.get("runId", parent_id) if isinstance(parent, dict) else parent_id}
    if resume := about.get("resume"):
        merged = [each.event.patch for each in events if isinstance(each.event, RunMetadataMerged) and each.stream == parent_id]
        names: dict[str, str] = next((patch[INTERRUPTS] for patch in reversed(merged) if INTERRUPTS in patch), {})
        told = ((entry, entry["interruptId"]) for entry in resume)
        found["resume"] = [{**entry, "interruptId": names.get(name, name)} for entry, name in told]
    return found
