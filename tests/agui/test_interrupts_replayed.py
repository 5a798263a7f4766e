"""Real conversations with interrupts, of another AG-UI server, had again by AG-UI's own client with a served ledger between."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from tests.agui import node


def read(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()).decode("utf-8-sig"))


def turns(folder: Path) -> list[dict[str, Any]]:
    """What the client sent, and where the file is with what the agent said, of each turn."""
    requests = sorted(folder.glob("*Request.Client.AGUI*"))
    responses = sorted(folder.glob("*Response.Server.AGUI*"))
    return [{"sent": read(request), "replay": str(response)} for request, response in zip(requests, responses, strict=True)]


@pytest.mark.row("AG-04", "AG-05", "AG-06")
def test_interrupts_are_asked_answered_and_used(
    trajectories: Path, served: tuple[Ledger, str], told: dict[str, Any], tmp_path: Path
) -> None:
    ledger, _ = served
    folders = {
        name: trajectories / "ag-ui-streams" / name for name in ("Step09_InterruptsApproval", "Step10_InterruptsUserInput")
    }
    more = {"conversations": {name: turns(folder) for name, folder in folders.items()}}
    found = node.result(node.start(node.program(tmp_path), "replay.mjs", {**told, **more}))
    for name, came in found.items():
        assert came["outcomes"][0] == "interrupt", name
        assert (came["outcomes"][-1], came["pending"]) == ("success", 0), name
        said = read(Path(more["conversations"][name][-1]["replay"]))
        words = "".join(event["delta"] for event in said if event["type"] == "TEXT_MESSAGE_CONTENT")
        assert words in [message.get("content") for message in came["messages"]], name
        ledger.fold("threads", "approval_queue")
    asked = ledger.now.approvals(status=["granted"]).items
    assert {each.status for each in asked} == {"granted"}
    deleted = next(each for each in asked if each.action == "delete_file")
    assert ledger.now.approval(deleted.approval_id).consumed_by is not None
