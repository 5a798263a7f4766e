"""A thread's tree of runs, for people and for machines.

A run that goes on from another is drawn below it on the same level, so that a long conversation stays a straight line;
branches and sub-agents are drawn inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.text import Text
from rich.tree import Tree as Drawing

from runfold.domain.run_events import FOLLOWED
from runfold.history.tree import Node, Tree
from runfold.history.views import ThreadView
from runfold.queries.reading import Reading
from runfold.queries.threads.run_states import RunState
from runfold.terminal import styles
from runfold.terminal.text import one_line, shown


@dataclass(frozen=True)
class ThreadTree:
    """The runs of a thread as of a position, with what became of each."""

    thread: ThreadView
    tree: Tree
    runs: Mapping[str, RunState]
    as_of: int

    @classmethod
    def of(cls, reading: Reading, thread_id: str) -> "ThreadTree":
        """Read a thread's tree. Raises ThreadNotFound."""
        thread, tree = reading.thread(thread_id), reading.tree(thread_id)
        return cls(thread, tree, {run.run_id: run for run in reading.run_states(thread_id)}, reading.up_to)

    def heads_of(self, run_id: str) -> list[str]:
        """The heads that point at a run."""
        return self._heads.get(run_id, [])

    @cached_property
    def _heads(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, run_id in self.tree.heads.items():
            found.setdefault(run_id, []).append(name)
        return found

    def as_json(self) -> dict[str, Any]:
        """The tree as JSON: the runs in the order of their creation."""
        return {
            "as_of": self.as_of,
            "thread_id": self.thread.id,
            "title": self.thread.title,
            "heads": dict(self.tree.heads),
            "runs": [self._run_json(node) for node in self.tree.nodes.values()],
        }

    def drawn(self) -> Drawing:
        """Draw the tree."""
        top = Text.assemble((self.thread.id, "bold"), "  ", shown(one_line(self.thread.title or "")))
        if self.thread.state != "open":
            top.append(f"  {self.thread.state}", "red")
        drawing = Drawing(top, guide_style="dim")
        waiting = [(drawing, node) for node in reversed(self.tree.children(None))]
        while waiting:
            branch, node = waiting.pop()
            drawn = branch.add(self._label(node))
            inner, onward = [], None
            for child in self.tree.children(node.run_id):
                if onward is None and child.parent and child.parent.kind in FOLLOWED:
                    onward = child
                else:
                    inner.append(child)
            if onward is not None:
                waiting.append((branch, onward))
            waiting.extend((drawn, child) for child in reversed(inner))
        return drawing

    def _label(self, node: Node) -> Text:
        run = self.runs[node.run_id]
        label = Text(no_wrap=True, overflow="ellipsis")
        if node.parent is not None:
            arrow = "↓ " if node.parent.kind in FOLLOWED else ""
            label.append(f"{arrow}{node.parent.kind}{_leaving(node)} ", "dim")
        label.append(node.run_id, "bold")
        label.append_text(shown(f"  {node.agent_id}  "))
        reason = f" ({run.stop_reason})" if run.stop_reason not in {None, run.status} else ""
        label.append(f"{run.status}{reason}", styles.RUN.get(run.status, ""))
        label.append(f"  positions {node.position} to {run.last_position}", "dim")
        for name in self.heads_of(node.run_id):
            label.append_text(shown(f"  ← {name}", "bold yellow"))
        return label

    def _run_json(self, node: Node) -> dict[str, Any]:
        run = self.runs[node.run_id]
        return {
            "id": node.run_id,
            "parent": node.parent.model_dump(mode="json") if node.parent else None,
            "agent_id": node.agent_id,
            "status": run.status,
            "stop_reason": run.stop_reason,
            "version": run.events,
            "heads": self.heads_of(node.run_id),
            "created_position": node.position,
            "position": run.last_position,
        }


def _leaving(node: Node) -> str:
    """At which version a branch leaves its parent; elsewhere that says little."""
    return f" at version {node.parent.at_version}" if node.parent and node.parent.kind == "branches" else ""
