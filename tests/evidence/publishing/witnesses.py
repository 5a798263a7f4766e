"""Witnesses that are served, as tests ask them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from runfold.evidence.publishing.witness import Witness, server


@contextmanager
def served(witness: Witness) -> Iterator[str]:
    with server(witness, "127.0.0.1", 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()
        thread.join()
