"""H-1 and H-2: the same command many times at once, and one id with two contents."""

import threading
from multiprocessing.synchronize import Barrier
from random import Random
from typing import Any

from faults.clients import Work, acks_of, note, open_ledger, perform
from faults.crew import barrier
from faults.journal import Ack, Journal, groups
from faults.row import row
from faults.stage import Stage
from runfold import DuplicateWithDifferentContent, Ledger, LedgerUnavailable

THREADS = 10


@row("H-1", "one command 100 times at once", short=True)
def same_command(stage: Stage) -> None:
    """Ten processes of ten threads give the same command under the same id at the same moment. One event is recorded, and
    all hundred are told the same place, which is where it stands."""
    processes, keys = (3, 10) if stage.short else (10, 150)
    _race(stage, processes, keys, bodies=1)
    asked, answered = keys * processes * THREADS, _answers(stage)
    stage.expect(answered == asked, f"{answered} answers of {asked}")
    stage.expect(stage.figures.stored == keys + 2, f"{stage.figures.stored} events, not {keys + 2}")


@row("H-2", "one id, two contents, at once", short=True)
def other_content(stage: Stage) -> None:
    """The same race, and half of the callers say something else under the same id. One content is recorded; who said it
    is told where it stands, and the others that the id is used with other content."""
    processes, keys = (2, 10) if stage.short else (8, 100)
    _race(stage, processes, keys, bodies=2)
    refused = stage.figures.errors.get("DuplicateWithDifferentContent", 0)
    asked = keys * processes * THREADS
    stage.expect(_answers(stage) + refused == asked, f"{_answers(stage)} answers and {refused} refusals of {asked}")
    stage.expect(refused == asked // 2, f"{refused} were refused, not half of {asked}")
    stage.expect(stage.figures.stored == keys + 2, f"{stage.figures.stored} events, not {keys + 2}")


def _race(stage: Stage, processes: int, keys: int, bodies: int) -> None:
    with open_ledger(stage.work("first", 0)) as ledger:
        thread = ledger.create_thread(thread_id=f"thread_{stage.tag}")
        thread.create_run(run_id=f"run_{stage.tag}", agent_id="faults", parent=None)
    together = barrier(processes)
    for index in range(processes):
        stage.crew.start(hammer, stage.work(f"w{index}", keys, seed=stage.seed), bodies, together)
    stage.finish()
    stage.figures.measured |= {"callers": processes * THREADS, "commands": keys, "answers": _answers(stage)}


def _answers(stage: Stage) -> int:
    return sum(len(group) for work in stage.crew.works() for group in groups(work.journal))


def hammer(work: Work, bodies: int, together: Barrier) -> None:
    """The body of a process whose threads all give the same command; thread n says content n modulo `bodies`."""
    journal, lock = Journal(work.journal), threading.Lock()
    with open_ledger(work) as ledger:
        for number in range(work.commands):
            together.wait(120)
            answers: list[Ack] = []
            threads = [
                threading.Thread(target=_ask, args=(work, ledger, number, index % bodies, answers, lock))
                for index in range(THREADS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            journal.write(answers)
    journal.close()


def _ask(work: Work, ledger: Ledger, number: int, body: int, answers: list[Ack], lock: Any) -> None:
    dice = Random(f"{work.seed}:{number}").random()
    run, text, command = ledger.run(f"run_{work.tag}"), f"content {body}", f"{work.tag}.{number}.{body}"
    while True:
        try:
            # Usage has no text: there the number of tokens is the content.
            said = perform(run, 0.0 if 0.7 <= dice < 0.8 else dice, number, text, correlation_id=command)
        except DuplicateWithDifferentContent as error:
            with lock:
                return note(work, error)
        except LedgerUnavailable as error:
            with lock:
                note(work, error)
        else:
            with lock:
                answers += acks_of(command, said.receipt)
            return None
