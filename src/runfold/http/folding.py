"""The processes beside the server that fold the log into the read models, so that folding never slows an append.

They are what `runfold work` looks after, and they end when their standard input does, which the operating system sees to when
the server is killed.
"""

import threading

from runfold.projector.folding.supervisor import Supervisor


class FoldingBeside:
    """Lets a supervisor work in a thread of the server."""

    def __init__(self, supervisor: Supervisor) -> None:
        """`supervisor` looks after all that is to be folded."""
        self._supervisor = supervisor
        self._thread = threading.Thread(target=supervisor.run, name="runfold-folding", daemon=True)

    def start(self) -> None:
        """Start the processes, without waiting for them."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let them end after what they are at."""
        self._supervisor.stop()

    def stop(self) -> None:
        """End them, within seconds. What they were at is not lost: a page is stored whole, or folded again."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join()
