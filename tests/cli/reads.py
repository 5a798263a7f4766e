"""A call of each command that reads."""

from collections.abc import Callable

from runfold.demo_story import Cast

READS: dict[str, Callable[[Cast], list[str]]] = {
    "threads": lambda _: ["threads"],
    "thread": lambda cast: ["thread", f"thread_{cast.name}"],
    "thread then": lambda cast: ["thread", f"thread_{cast.name}", "--at", "20"],
    "run": lambda cast: ["run", cast.id("run", "claim")],
    "runs": lambda _: ["runs"],
    "sample runs": lambda _: ["sample", "runs", "--seed", "x"],
    "search": lambda _: ["search", "postage"],
    "tool-calls": lambda _: ["tool-calls"],
    "decisions": lambda _: ["decisions"],
    "events": lambda _: ["events"],
    "approvals": lambda _: ["approvals"],
    "usage": lambda _: ["usage", "--by", "agent"],
    "attention": lambda _: ["attention"],
    "failures": lambda _: ["failures"],
    "goals": lambda _: ["goals"],
    "rows": lambda _: ["rows", "run_summaries"],
    "projections": lambda _: ["projections"],
    "keys": lambda _: ["keys", "list"],
    "check": lambda _: ["check"],
}
