"""What conflicts cost: a part of all commands loses a race, and everybody else's throughput is compared."""

import json
import math
import time
from collections.abc import Iterable
from multiprocessing.synchronize import Barrier
from random import Random
from statistics import fmean

from faults.clients import Work, acks_of, note, open_ledger, write
from faults.crew import barrier, times
from faults.journal import Ack, Journal
from faults.row import row
from faults.stage import Stage
from runfold import Ledger, LedgerUnavailable, Run, Submitted, VersionConflict
from runfold.commands.caller import Envelope
from runfold.handles.message import Message

RATES = (0.0, 0.001, 0.01, 0.1)
BLOCK, SHARED = 64, 24


@row("conflicts", "0, 0.1, 1, 10 % in conflict", share=0.1)
def conflicts(stage: Stage) -> None:
    """Two processes keep many commands on their way, of which 0, 0.1, 1 and 10 % lose a race for a run that both write,
    with their neighbours in the same commits; a third has nothing to do with them. A conflict fails its own command
    alone, and the throughput of the others stays close to that without any."""
    rounds, seconds = (1, 1.0) if stage.short else (3, 3.0)
    speeds: dict[float, list[tuple[float, float, float]]] = {}
    for number, rate in enumerate(RATES * rounds):  # in turns, so that what else the machine does hits all alike
        if number:
            stage.next_act()
        speeds.setdefault(rate, []).append(_act(stage, rate, seconds))
    base = [fmean(values) for values in zip(*speeds[0.0], strict=True)]
    for rate, found in speeds.items():
        rivals, bystander, actual = (fmean(values) for values in zip(*found, strict=True))
        stage.figures.measured[f"{rate:.1%}"] = (
            f"({actual:.2%} conflicted) rivals {rivals:,.0f}/s ({rivals / base[0]:.0%}),"
            f" bystander {bystander:,.0f}/s ({bystander / base[1]:.0%})"
        )


def _act(stage: Stage, rate: float, seconds: float) -> tuple[float, float, float]:
    """One rate. Returns commands a second of both rivals together and of the bystander, and the part that did conflict."""
    with open_ledger(stage.work("first", 0)) as ledger:
        thread = ledger.create_thread(thread_id=f"thread_{stage.tag}_shared")
        for number in range(SHARED):
            thread.create_run(run_id=shared_run(stage.tag, number), agent_id="faults", parent=None)
    together = barrier(2)
    rivals = [stage.work(f"rival{index}", 0) for index in range(2)]
    for work in rivals:
        stage.crew.start(contend, work, rate, seconds, together)
    bystander = stage.work("bystander", 10**9, modes=("window",))
    stage.crew.start(write, bystander)
    while len(stage.crew.alive()) > 1:
        time.sleep(0.02)
    stage.crew.tell_to_stop()
    stage.finish()
    told = [json.loads((stage.folder / f"{work.name}.told").read_text()) for work in rivals]
    began, ended = max(rival["began"] for rival in told), min(rival["ended"] for rival in told)
    beside = sum(many for at, took, _, many in times(bystander) if at >= began and at + took <= ended)
    pace = sum(rival["acknowledged"] / (rival["ended"] - rival["began"]) for rival in told)
    lost = sum(rival["conflicts"] for rival in told) / sum(rival["given"] for rival in told)
    return pace, beside / (ended - began), lost


def contend(work: Work, rate: float, seconds: float, together: Barrier) -> None:
    """The body of a rival: blocks of commands on their way at once, most to its own run, some to runs that both write."""
    with open_ledger(work) as ledger:
        rival = Rival(work, ledger, rate)
        together.wait(60)
        began = time.time()
        while time.time() < began + seconds:
            rival.give(range(rival.given, rival.given + BLOCK))
        told = {"began": began, "ended": time.time(), **rival.counts()}
        rival.finish()
    (work.journal.parent / f"{work.name}.told").write_text(json.dumps(told))


class Rival:
    """Says which version of a shared run it expects, so that it is told of each race it lost."""

    def __init__(self, work: Work, ledger: Ledger, rate: float) -> None:
        self._work, self._rng, self.given = work, Random(work.seed), 0
        self._conflicts = self._acknowledged = 0
        self._chance = 2 * rate  # the other was there since our last visit about every second time
        thread = ledger.create_thread(thread_id=f"thread_{work.tag}_{work.name}")
        self._own = thread.create_run(run_id=f"run_{work.tag}_{work.name}", agent_id="faults", parent=None)
        few = min(SHARED, math.ceil(SHARED * rate / max(RATES)))  # the rarer a visit, the fewer runs, so that the two meet
        self._shared = [ledger.run(shared_run(work.tag, number)) for number in range(few)]
        self._believed = {run.id: 1 for run in self._shared}
        self._again: dict[int, Run] = {}
        self._journal = Journal(work.journal)

    def give(self, numbers: Iterable[int]) -> None:
        """Give a block, and with it again what lost a race in the last one."""
        free = [run for run in self._shared if run not in self._again.values()]
        self._rng.shuffle(free)
        new = {number: free.pop() if free and self._rng.random() < self._chance else self._own for number in numbers}
        given = [(number, run, self._submit(number, run)) for number, run in (self._again | new).items()]
        self._again = {}
        acks: list[Ack] = []
        for number, run, submitted in given:
            try:
                receipt = submitted.result().receipt
            except VersionConflict as error:
                self._conflicts += 1
                self._believed[run.id] = error.actual
                self._again[number] = run
            except LedgerUnavailable as error:
                note(self._work, error)
                self._again[number] = run
            else:
                assert receipt is not None, "a new message has a receipt"
                self._believed[run.id] = receipt.version
                acks += acks_of(self._command(number), receipt)
                self._acknowledged += 1
        self._journal.write(acks)
        self.given += len(new)

    def counts(self) -> dict[str, int]:
        """How many were given, how many races were lost, how many were acknowledged."""
        return {"given": self.given, "conflicts": self._conflicts, "acknowledged": self._acknowledged}

    def finish(self) -> None:
        """Repeat what is left."""
        while self._again:
            self.give(())

    def _submit(self, number: int, run: Run) -> Submitted[Message]:
        envelope: Envelope = {"correlation_id": self._command(number)}
        if run is not self._own:
            envelope["expected_version"] = self._believed[run.id]
        return run.submit_add_message(
            "assistant", f"{self._work.name} says {number}", message_id=f"msg_{self._work.name}_{number}", **envelope
        )

    def _command(self, number: int) -> str:
        return f"{self._work.tag}.{self._work.name}.{number}"


def shared_run(tag: str, number: int) -> str:
    """The id of a run that both rivals write."""
    return f"run_{tag}_shared{number}"
