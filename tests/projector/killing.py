"""Workers that are killed again and again."""

import multiprocessing
import random
import signal
import time
from collections.abc import Iterator

from tests.projector import driver

SPAWNING = multiprocessing.get_context("forkserver")


SPAWNING.set_forkserver_preload(["pytest", "runfold", "runfold.ledger", "runfold.projections.registry"])


def kill_at_random(
    url: str, dice: random.Random, sources: tuple[str, ...] = driver.TOYS, rounds: int = 15, workers: int = 2
) -> Iterator[int]:
    """Two processes fold; again and again one of them is killed and another begun. Yields after each kill."""
    made = [SPAWNING.Process(target=driver.keep_folding, args=[url, 7, sources]) for _ in range(workers)]
    for process in made:
        process.start()
    try:
        for number in range(rounds):
            time.sleep(dice.uniform(0.0, 0.25))
            one = made.pop(dice.randrange(workers))
            one.kill()
            one.join()
            assert one.exitcode == -signal.SIGKILL, "it died of nothing else"
            made.append(SPAWNING.Process(target=driver.keep_folding, args=[url, dice.choice([1, 7, 50]), sources]))
            made[-1].start()
            yield number
    finally:
        for process in made:
            process.kill()
            process.join()
