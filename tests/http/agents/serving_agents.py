"""Servers of agents that are processes of their own, and may be killed."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2

from runfold import Settings
from runfold.settings import environment
from tests.agui.emitted import Emitted, Teed

ROOT = Path(__file__).parents[3]
_MAIN = "from runfold.cli.main import main; main()"


@contextlib.contextmanager
def process(
    settings: Settings, *agents: str, lease: str = "1s", key: str | None = None
) -> Iterator[tuple["subprocess.Popen[str]", httpx2.Client]]:
    """`runfold serve` with some agents, and a client with its first key, or with the one that is given."""
    said = [part for agent in agents for part in ("--agent", agent)]
    env = {**os.environ, **environment(settings), "RUNFOLD_AGENT_LEASE": lease}
    command = [sys.executable, "-c", _MAIN, "serve", "--port", "0", "--json", "--no-work", "--owner", "human:ada", *said]
    started = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        line = started.stdout.readline()
        assert line, started.communicate()[1]
        told = json.loads(line)
        headers = {"Authorization": f"Bearer {key or told['key']}"}
        emitted = Emitted()
        with httpx2.Client(base_url=told["address"], headers=headers, timeout=60, transport=Teed(emitted)) as client:
            yield started, client
        emitted.require_right()
    finally:
        started.kill()
        started.communicate()
