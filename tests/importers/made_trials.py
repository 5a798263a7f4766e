"""Trials of tau2-bench, made up."""

import json
from pathlib import Path
from typing import Any


def said(role: str, content: str | None = None, **more: Any) -> dict[str, Any]:
    """A message of tau2-bench."""
    return {"role": role, "content": content, "timestamp": "2026-02-17T21:18:58.948676", **more}


def calls(*names: str) -> list[dict[str, Any]]:
    """Tool calls, all with the same empty id."""
    return [{"id": "", "name": name, "arguments": {"n": index}, "requestor": "assistant"} for index, name in enumerate(names)]


def simulation(trial_id: str = "sim-1", *, reward: float | None = None, **more: Any) -> dict[str, Any]:
    """A trial of tau2-bench."""
    messages = [
        said("assistant", "Hi!", cost=0.0),
        said("user", "Do it.", cost=0.0010199999999999999, usage={"prompt_tokens": 7, "completion_tokens": 3}),
        said("assistant", None, tool_calls=calls("look", "book"), usage={"prompt_tokens": 90, "completion_tokens": 9}),
        said("tool", "seen", id=""),
        said("tool", "Error: full", id="", error=True),
        said("user", "###STOP###"),
    ]
    info = None if reward is None else {"reward": reward, "db_check": {"db_match": reward == 1}}
    return {
        "id": trial_id,
        "task_id": "7",
        "trial": 2,
        "start_time": "2026-02-17T21:18:50",
        "end_time": "2026-02-17T21:19:50",
        "termination_reason": "user_stop",
        "reward_info": info,
        "messages": messages,
        **more,
    }


def results(*simulations: dict[str, Any]) -> dict[str, Any]:
    """A file of tau2-bench."""
    info = {
        "agent_info": {"implementation": "llm_agent", "llm": "model-a"},
        "user_info": {"llm": "model-u"},
        "environment_info": {"domain_name": "shop"},
    }
    return {"timestamp": "now", "info": info, "tasks": [], "simulations": list(simulations)}


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document, indent=1))
    return path
