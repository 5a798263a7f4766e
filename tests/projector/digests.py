"""The digests of all read models of a ledger, folded in this process: python -m tests.projector.digests URL."""

import hashlib
import json
import random
import sys
import time

from runfold.projections.fold import fold_all
from runfold.projections.registry import known
from runfold.store.datastore import Datastore
from runfold.store.reading.reader import Reader


def main(url: str, days: float) -> None:
    """Print them as JSON. The clock is some days off, and chance begins elsewhere."""
    honest = time.time
    time.time = lambda: honest() + days * 86400
    random.seed(days)
    datastore = Datastore(url)
    events = list(Reader(datastore).events())
    datastore.close()
    digests = {}
    for name, projection in known().items():
        rows = sorted((key, repr(standing)) for key, standing in fold_all(projection, events).items())
        digests[name] = hashlib.sha256(repr(rows).encode()).hexdigest()
    print(json.dumps(digests))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
