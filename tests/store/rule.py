"""Which versions an append may have, said once more and plainly."""

import itertools
from collections.abc import Mapping


def in_the_way(events: list[tuple[str, int]], watched: Mapping[str, int], at: Mapping[str, int]) -> dict[str, int]:
    """The streams of a call that stand in the way, and the version each is at."""
    found = {}
    for stream, group in itertools.groupby(sorted(events, key=lambda event: event[0]), key=lambda event: event[0]):
        versions = [version for _, version in group]
        first = at[stream] + 1 if stream in at else min(versions[0], 1)
        if versions != list(range(first, first + len(versions))):
            found[stream] = at.get(stream, 0)
    return found | {stream: at.get(stream, 0) for stream, version in watched.items() if at.get(stream, 0) != version}
