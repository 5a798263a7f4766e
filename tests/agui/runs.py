"""Runs that do all that AG-UI has events for, among the moves of histories that nobody would think of."""

import contextlib
import random

from runfold import Ledger, LedgerError
from runfold.domain.parts import DataPart, FilePart, Part, ReasoningPart, TextPart
from tests.projections.histories import MOVES, History, begin_thread

_PARTS: list[tuple[Part, ...]] = [
    (),
    (TextPart(text="one"), TextPart(text="two")),
    (ReasoningPart(text="hm", signature="s"), TextPart(text="so")),
    (TextPart(text="see"), FilePart(media_type="image/png", data="aGk=", name="x.png")),
    (FilePart(media_type="text/plain", url="https://example.org/x"),),
    (DataPart(data={"type": "RAW", "n": [1]}, name="odd"),),
]


def think(history: History) -> None:
    run, dice = history.run(), history.dice
    made = run.add_message("reasoning", (ReasoningPart(text="hm"),) if dice.random() < 0.5 else (), streaming=dice.random() < 0.6)
    history.keep("message", run, made)


def say_parts(history: History) -> None:
    dice = history.dice
    run, role = history.run(), dice.choice(["user", "assistant", "assistant", "developer"])
    given = {"name": dice.choice([None, "ada"]), "encrypted_value": dice.choice([None, "e1"])}
    history.keep("message", run, run.add_message(role, dice.choice(_PARTS), **given))


def act(history: History) -> None:
    dice, run = history.dice, history.run()
    kinds = [
        ("PLAN", (DataPart(data={"steps": [1]}, name="PLAN"),)),
        ("RAW", (DataPart(data={"type": "RAW", "event": {"a": None}}, name="RAW"),)),
        ("NEW_EVENT", (DataPart(data={"type": "NEW_EVENT", "x": 1}, name="NEW_EVENT"),)),
        (None, (TextPart(text="an old one"),)),
    ]
    kind, parts = dice.choice(kinds)
    history.keep("message", run, run.add_message("activity", parts, activity_type=kind))


def answer(history: History) -> None:
    dice, call = history.dice, history.thing("tool_call")
    run = history.batch.run(call.run_id)
    content = dice.choice(['{"status": "sent"}', "done", (TextPart(text="a"), TextPart(text="b"))])
    if dice.random() < 0.7:
        run.add_message("tool", content, tool_call_id=dice.choice([call.id, call.id, None]))
    with contextlib.suppress(LedgerError):
        call.succeed(dice.choice([{"status": "sent"}, "done", None]))


def write_arguments(history: History) -> None:
    dice, run = history.dice, history.run()
    call = run.tool_call(f"call_{dice.randrange(10**9)}")
    message_id = run.add_message("assistant", "I look").id if dice.random() < 0.5 else None
    call.append_arguments('{"order"', name="search", message_id=message_id)
    if dice.random() < 0.8:
        call.append_arguments(": ")
    if dice.random() < 0.8:
        whole = dice.choice(['{"order": 7}', '{"order": 7}', '{"other": 7}'])
        run.call_tool("search", whole, call_id=call.id, message_id=message_id)
        history.keep("tool_call", run, call)


def open_step(history: History) -> None:
    run = history.run()
    started = run.start_step(history.dice.choice(["plan", "plan", "act"]))
    if history.dice.random() < 0.5:
        started.finish()


def patch_state(history: History) -> None:
    history.run().patch_state([{"op": "add", "path": "/n", "value": history.dice.randrange(5)}])


ALL = [
    *MOVES,
    think,
    think,
    say_parts,
    say_parts,
    act,
    act,
    answer,
    answer,
    write_arguments,
    write_arguments,
    open_step,
    patch_state,
]


def recorded_history(dice: random.Random, ledger: Ledger, moves: int) -> History:
    """A history with all of these moves, in transactions of some at a time."""
    history = History(dice)
    for first in range(0, moves, 25):
        with ledger.batch() as batch:
            history._batch = batch
            if not history.runs:
                begin_thread(history)
            for _ in range(first, first + 25):
                with contextlib.suppress(LedgerError, KeyError):
                    dice.choice(ALL)(history)
    return history
