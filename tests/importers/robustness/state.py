"""What a ledger says in the end, whatever the order in which it was told."""

from typing import Any

from runfold import Ledger


def state(ledger: Ledger) -> dict[str, dict[Any, Any]]:
    """What a ledger says in the end, without what was superseded: messages, calls, usage, the tree of runs, how each ended."""
    found: dict[str, dict[Any, Any]] = {"messages": {}, "calls": {}, "usage": {}, "runs": {}, "approvals": {}}
    gone = {recorded.stream for recorded in ledger.events(types=["thread.superseded"])}
    for recorded in ledger.subscribe(follow=False):
        if recorded.thread_id in gone:
            continue
        said, run = recorded.event.model_dump(mode="json", exclude_none=True), recorded.stream
        match recorded.type:
            case "message.added":
                found["messages"][said["message_id"]] = [run, said["role"], said.get("author"), said["content"]]
            case "message.revised":
                found["messages"][said["message_id"]][3] = said["content"]
            case "tool.called":
                found["calls"][said["call_id"]] = [run, said["name"], said.get("arguments"), "open"]
            case "tool.succeeded" | "tool.failed" | "tool.cancelled":
                found["calls"][said["call_id"]][3] = [recorded.type, said.get("result"), said.get("code")]
            case "usage.recorded":
                found["usage"][said["usage_id"]] = [run, said.get("model"), said["tokens"]]
            case "usage.corrected":
                found["usage"][said["usage_id"]][2] = said["replacement"]
            case "run.created":
                parent = said.get("parent", {})
                found["runs"][run] = [parent.get("run_id"), parent.get("kind"), "created"]
            case "run.started" | "run.completed" | "run.failed" | "run.cancelled":
                found["runs"][run][2] = [recorded.type, said.get("code"), said.get("stop_reason")]
            case "approval.requested":
                found["approvals"][run] = [said["action"], "open"]
            case "approval.granted" | "approval.denied" | "approval.withdrawn":
                found["approvals"][run][1] = recorded.type
    return found


def differences(format: str, found: dict[str, dict[Any, Any]], wanted: dict[str, dict[Any, Any]]) -> dict[str, Any]:
    """What a ledger says otherwise than it should. Of Claude Code without the label of runs: which of several prompts on one
    message goes on depends on which came first."""
    shown = _without_label if format == "claude-code" else _as_told
    return {
        f"{kind} {name}": (found[kind].get(name), wanted[kind].get(name))
        for kind in wanted
        for name in {*found[kind], *wanted[kind]}
        if shown(found[kind].get(name)) != shown(wanted[kind].get(name))
    }


def _as_told(told: Any) -> Any:
    return told


def _without_label(told: Any) -> Any:
    return [each for each in told if each not in ("continues", "branches")] if isinstance(told, list) else told
