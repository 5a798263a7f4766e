"""A service follows the log, dies in the middle, and goes on: every approval that waits is mailed once.

It keeps its cursor in the same file as what it derived, and replaces that file whole: both are there, or neither.
"""

import json
import tempfile
from pathlib import Path

from runfold import HistoryChanged, Ledger


class Outbox:
    """What was mailed, and how far the log was read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = json.loads(path.read_text()) if path.exists() else {"cursor": "0", "mailed": []}
        self.cursor: str = kept["cursor"]
        self.mailed: list[str] = kept["mailed"]

    def keep(self) -> None:
        """Replace the file, so that a crash leaves the one before or the one after."""
        whole = self._path.with_suffix(".new")
        whole.write_text(json.dumps({"cursor": self.cursor, "mailed": self.mailed}))
        whole.replace(self._path)


def follow(ledger: Ledger, outbox: Outbox, most: int | None = None) -> None:
    """Mail what waits, up to the head of the log; `most` stops it earlier, as a crash would."""
    try:
        subscription = ledger.subscribe(after=outbox.cursor, types=["approval.requested"], follow=False)
        for number, recorded in enumerate(subscription):
            if number == most:
                return
            outbox.mailed.append(f"{recorded.stream}: {recorded.event.action}")
            outbox.cursor = subscription.cursor
            outbox.keep()
    except HistoryChanged as changed:  # the database was put back: what was mailed stays mailed, and we go on from there
        outbox.cursor = changed.cursor
        outbox.keep()


def main() -> None:
    """Ask for three approvals, and follow in two lives."""
    path = Path(tempfile.mkdtemp()) / "outbox.json"
    with Ledger.open(actor="agent:support") as ledger:
        run = ledger.create_thread(agent_id="support").start_run()
        for action in ("refund", "discount", "voucher"):
            run.request_approval(action, arguments={"order": 7}, approval_id=f"approval_{action}_{run.id}")
        follow(ledger, Outbox(path), most=2)
        print("the first life mailed:", len(Outbox(path).mailed))
        follow(ledger, Outbox(path))
        mailed = [line for line in Outbox(path).mailed if run.id in line]
        print("both together:", [line.split(": ")[1] for line in mailed])


if __name__ == "__main__":
    main()
