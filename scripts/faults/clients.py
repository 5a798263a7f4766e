"""Writers: each a process of its own, on the public SDK. What it does follows from its seed alone.

Commands are numbered, and their ids follow from the number. So a writer that was killed starts again behind its journal
and repeats what was in flight, as a client with an idempotency key does.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from faults.journal import Ack, Journal, groups
from runfold import Ledger, LedgerError, LedgerUnavailable, Receipt, Run, VersionConflict
from runfold.commands.submitted import Submitted
from runfold.handles.ledgers.ledger_handle import LedgerHandle

AGAIN_SECONDS = 0.05


@dataclass(frozen=True)
class Work:
    """A writer's task. With `home` and no `url` it uses the embedded server there, and revives it by itself."""

    name: str
    tag: str
    seed: str
    folder: str
    commands: int
    url: str | None = None
    home: str | None = None
    modes: tuple[str, ...] = ("single", "window", "loop", "batch")
    per_run: int = 300
    pause: float = 0.0
    connect_timeout: float = 5.0
    unsafe: bool = False

    until_goal: ClassVar[bool] = False
    """Whether it ends after the writers, when the goal is set, and not by itself."""

    @property
    def journal(self) -> Path:
        """Its file of acknowledgements."""
        return Path(self.folder) / f"{self.name}.journal"

    @property
    def errors(self) -> Path:
        """Its file of errors, a line each: kind and text."""
        return Path(self.folder) / f"{self.name}.errors"

    @property
    def latencies(self) -> Path:
        """Its file of times: when a block of commands began, its seconds, its mode (`failed` for a try) and how many."""
        return Path(self.folder) / f"{self.name}.times"

    @property
    def stop(self) -> Path:
        """When this file exists, all writers of the folder end."""
        return Path(self.folder) / "stop"

    @property
    def goal(self) -> Path:
        """The file that says how far to read, once all is written."""
        return Path(self.folder) / "goal"


def open_ledger(work: Work) -> Ledger:
    """Open it, however long the server is away."""
    while True:
        try:
            if work.url is None:
                assert work.home is not None, "a writer has a URL or a home"
                return Ledger.open(home=Path(work.home), connect_timeout=work.connect_timeout)
            return Ledger.open(work.url, connect_timeout=work.connect_timeout, unsafe_durability=work.unsafe)
        except LedgerUnavailable as error:
            note(work, error)
            if work.stop.exists() and not work.until_goal:
                raise
            time.sleep(AGAIN_SECONDS)


def note(work: Work, error: Exception) -> None:
    """Remember an error for the report."""
    cause = f"/{type(error.__cause__).__name__}" if error.__cause__ is not None else ""
    with work.errors.open("a") as file:
        file.write(f"{type(error).__name__}{cause} {' '.join(str(error).split())}\n")


def write(work: Work) -> None:
    """The body of a writer's process."""
    journal = Journal(work.journal)
    try:
        with open_ledger(work) as ledger:
            Writer(work, ledger, journal).go()
    except LedgerUnavailable:
        if not work.stop.exists():
            raise
    finally:
        journal.close()


class Writer:
    """Gives its commands in blocks: one by one, many at once (from a thread, or in an event loop), or many in one transaction."""

    def __init__(self, work: Work, ledger: Ledger, journal: Journal) -> None:
        self._work, self._ledger, self._journal = work, ledger, journal
        numbers = [ack.command.rpartition(".")[2] for group in groups(work.journal) for ack in group]
        self._next = max((int(number) for number in numbers if number.isdigit()), default=-1) + 1
        self._times = work.latencies.open("a")

    def go(self) -> None:
        """Work until all commands are acknowledged, or told to stop."""
        if not self._next:
            self._create_thread()
        while self._next < self._work.commands and not self._work.stop.exists():
            rng = Random(f"{self._work.seed}:{self._next}:block")
            mode = rng.choice(self._work.modes)
            window = rng.randint(20, 200)
            many = {"single": 1, "window": window, "loop": window, "batch": rng.randint(50, 400)}[mode]
            block = range(self._next, min(self._next + many, self._work.commands))
            began = time.time()
            self._journal.write(self._persist(mode, block))
            self._times.write(f"{began:.6f} {time.time() - began:.6f} {mode} {len(block)}\n")
            self._next = block.stop
            if self._work.pause:
                time.sleep(rng.random() * self._work.pause)
        self._times.close()

    def _create_thread(self) -> None:
        command, metadata = f"{self._work.tag}.{self._work.name}.thread", {"faults": self._work.tag}
        while True:
            try:
                made = self._ledger.create_thread(
                    thread_id=self._thread_id, agent_id="faults", metadata=metadata, correlation_id=command
                )
            except LedgerUnavailable as error:
                self._again(error)
            else:
                return self._journal.write(acks_of(command, made.receipt))

    @property
    def _thread_id(self) -> str:
        return f"thread_{self._work.tag}_{self._work.name}"

    def _persist(self, mode: str, block: Sequence[int]) -> list[Ack]:
        """Repeat the block until all of it is acknowledged."""
        while True:
            began = time.time()
            try:
                return {"single": self._single, "window": self._window, "loop": self._loop, "batch": self._batch}[mode](block)
            except (LedgerUnavailable, VersionConflict) as error:
                # A batch that repeats what may be on its way already can lose the race against itself.
                if isinstance(error, VersionConflict) and mode != "batch":
                    raise
                self._times.write(f"{began:.6f} {time.time() - began:.6f} failed 0\n")
                self._again(error)

    def _again(self, error: LedgerError) -> None:
        note(self._work, error)
        if self._work.stop.exists():
            raise error
        time.sleep(AGAIN_SECONDS)

    def _single(self, block: Sequence[int]) -> list[Ack]:
        return [ack for number in block for ack in acks_of(self._id(number), self._give(number, self._ledger).receipt)]

    def _window(self, block: Sequence[int]) -> list[Ack]:
        return self._acks_of(
            block, [_answer_of(given) for given in [self._give(number, self._ledger, "submit_") for number in block]]
        )

    def _loop(self, block: Sequence[int]) -> list[Ack]:
        """The same in an event loop, which sends some while others are still to be given."""

        async def answers() -> list[Any]:
            given = []
            for number in block:
                given.append(self._give(number, self._ledger, "submit_"))
                if number % 7 == 0:
                    await asyncio.sleep(0)
            return await asyncio.gather(*(_awaited(submitted) for submitted in given))

        return self._acks_of(block, asyncio.run(answers()))

    def _acks_of(self, block: Sequence[int], answers: Sequence[Any]) -> list[Ack]:
        errors = [answer for answer in answers if isinstance(answer, LedgerError)]
        if errors:  # what was built on a command that did not come through fails for other reasons than it
            raise min(errors, key=lambda error: not isinstance(error, LedgerUnavailable))
        return [ack for number, answer in zip(block, answers, strict=True) for ack in acks_of(self._id(number), answer.receipt)]

    def _batch(self, block: Sequence[int]) -> list[Ack]:
        with self._ledger.batch() as batch:
            receipts = [self._give(number, batch).receipt for number in block]
        stored = batch.receipt
        position = stored.position - batch.appended if stored else 0
        acks: list[Ack] = []
        for number, receipt in zip(block, receipts, strict=True):
            if receipt.position == 0:  # new in this batch: the batch knows where it stands
                position += receipt.appended
                receipt = Receipt(receipt.stream, position, receipt.version, None, receipt.appended)  # noqa: PLW2901  the same, with its place
            acks += acks_of(self._id(number), receipt)
        return acks

    def _id(self, number: int) -> str:
        return f"{self._work.tag}.{self._work.name}.{number}"

    def _give(self, number: int, on: LedgerHandle, how: str = "") -> Any:
        """The command of a number. Given again, it says the same."""
        work, command = self._work, self._id(number)
        rng = Random(f"{work.seed}:{number}")
        run = on.run(f"run_{work.tag}_{work.name}_{number // work.per_run}")
        if number % work.per_run == 0:
            start = getattr(on.thread(self._thread_id), f"{how}start_run")
            return start({"number": number}, run_id=run.id, parent=None, correlation_id=command)
        text = "".join(rng.choices("abcdefghij klmnopqrstuvwxyz ÄÖß", k=rng.randint(10, 300)))
        return perform(run, rng.random(), number, text, how, correlation_id=command)


def _answer_of(submitted: Submitted[Any]) -> Any:
    try:
        return submitted.result()
    except LedgerError as error:
        return error


async def _awaited(submitted: Submitted[Any]) -> Any:
    try:
        return await submitted
    except LedgerError as error:
        return error


def perform(run: Run, dice: float, number: int, text: str, how: str = "", **envelope: Any) -> Any:
    """One of the things that agents do most, under an id that follows from the number."""
    if dice < 0.7:
        return getattr(run, f"{how}add_message")("assistant", text, message_id=f"msg_{number}", **envelope)
    if dice < 0.8:
        return getattr(run, f"{how}usage")(model="m", input_tokens=number, usage_id=f"usage_{number}", **envelope)
    if dice < 0.9:
        return getattr(run, f"{how}call_tool")("look", {"for": text}, call_id=f"call_{number}", **envelope)
    options = [{"id": "a", "description": text[:40]}, {"id": "b", "description": "wait"}]
    return getattr(run, f"{how}decide")("go on", options=options, chosen="a", decision_id=f"dec_{number}", **envelope)


def acks_of(command: str, receipt: Receipt | None) -> list[Ack]:
    """The events of one command, which stand side by side in one stream."""
    assert receipt is not None, "a handle that a command returned has its receipt"
    events = max(receipt.appended, 1)
    return [Ack(receipt.stream, receipt.version - back, receipt.position - back, command) for back in reversed(range(events))]


def main(work: Work) -> None:
    """A writer in a plain process: under another clock, say."""
    with suppress(KeyboardInterrupt):
        write(work)
    os._exit(0)
