"""The digests that events hold of what stands in the log, made again from it: a change of either side shows.

Each field of an event that is a digest is named here: what it is a digest of, or why that cannot be made again from the log.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from runfold.domain.approval_events import ApprovalConsumed, ApprovalEvent, ApprovalGranted, ApprovalRequested, VoteEvent
from runfold.domain.event import Event
from runfold.domain.values import digest

ELSEWHERE: Mapping[tuple[str, str], str] = {
    ("thread.imported", "source_digest"): "the file that was imported is not in the log; `runfold evidence` gives its digest",
    ("thread.imported", "source_files.digest"): "the files are not in the log, and nor is what they unpack to",
    ("thread.imported", "source_files.unpacked_digest"): "as with source_files.digest",
    ("security.bundle_made", "manifest_digest"): "the bundle was handed over, and is not in the log",
    ("security.key_created", "secret_digest"): "the secret is known to its owner alone",
}
"""Digests of what does not stand in the log."""


class Fault(NamedTuple):
    """A field that does not fit what it is a digest or a copy of."""

    field: str
    fact: str


def own_faults(event: Event) -> Iterator[Fault]:
    """Yield what in an event itself does not fit; of how a run was asked for, see `requests`."""
    match event:
        case ApprovalRequested():
            yield from _text(event.arguments_text, "arguments_text", event.arguments_digest, "arguments_digest")
        case ApprovalGranted():
            text, kept = event.effective_arguments_text, event.effective_digest
            yield from _text(text, "effective_arguments_text", kept, "effective_digest")
        case _:
            pass


class ApprovalTexts:
    """The digests of what was asked for and voted on in the stream of an approval, as far as it was read."""

    def __init__(self) -> None:
        self._asked: str | None = None
        self._edited: set[str] = set()
        self._granted: str | None = None

    def faults(self, event: ApprovalEvent) -> Iterator[Fault]:
        """Take the stream's next event in, and yield what in it does not fit those before it."""
        match event:
            case ApprovalRequested():
                self._asked = digest(event.arguments_text)
            case VoteEvent(edited_arguments_text=str(edited)):
                self._edited.add(digest(edited))
            case ApprovalGranted():
                self._granted = event.effective_digest
                yield from self._grant(event)
            case ApprovalConsumed() if self._granted not in {None, event.arguments_digest}:
                fact = f"it was used for {event.arguments_digest}, and granted for {self._granted}"
                yield Fault("arguments_digest", fact)
            case _:
                pass

    def _grant(self, event: ApprovalGranted) -> Iterator[Fault]:
        if self._asked is None:
            return  # its request is missing, which is another damage
        effective = digest(event.effective_arguments_text)
        if event.edited != (effective != self._asked):
            said = "edited" if event.edited else "as asked for"
            yield Fault("effective_arguments_text", f"what was granted is said to be {said}, and beside the request it is not")
        elif event.edited and effective not in self._edited:
            yield Fault("effective_arguments_text", "nobody who voted gave the arguments that were granted")


def _text(text: str, name: str, kept: str, field: str) -> Iterator[Fault]:
    if (found := digest(text)) != kept:
        yield Fault(name, f"the digest of {name} is {found}, and {field} is {kept}")
