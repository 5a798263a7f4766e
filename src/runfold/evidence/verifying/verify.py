"""A ledger verified: what is taken from its settings, and what is remembered for the next time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from runfold.errors import UsageError
from runfold.evidence.publishing.places import PlaceFailed, places
from runfold.evidence.sealing.comparing import stored_trees, trees_to_begin
from runfold.evidence.sealing.signing import known_publics
from runfold.evidence.verifying.checkpoints import Kept
from runfold.evidence.verifying.pages import asking
from runfold.evidence.verifying.remembered import note_verified, read_verified, verified_in
from runfold.evidence.verifying.verifying import Verification
from runfold.ledger import Ledger
from runfold.maintenance.checking import Finding
from runfold.proofs.note import NoteRefused, read_key
from runfold.settings import Settings


@dataclass
class LedgerVerification:
    """What was found, and of what. Read `findings` to its end."""

    ledger: Ledger
    full: bool = False
    against: Sequence[Kept] = ()
    """Checkpoints that somebody was handed over, beside those that the settings' places hold."""
    keys: Sequence[str] = ()
    """Public keys as NAME+HASH+KEY; else those of this machine, if it has any."""
    progress: Callable[[int, int], object] = lambda _done, _total: None
    unreachable: list[str] = field(default_factory=list)
    """Places whose checkpoints could not be read."""
    knows_keys: bool = False
    """Whether signatures were verified."""
    read: Verification | None = None

    def findings(self) -> Iterator[Finding]:
        """Every difference. Raises LedgerUnavailable, UsageError."""
        settings = self.ledger.settings
        publics = _publics(settings, self.keys)
        self.knows_keys = publics is not None
        file = settings.home / "verified.json"
        with self.ledger.recorder.store.reading() as connection:
            ask = asking(connection)
            ((database,),) = ask("database", ())
            begun = {origin for _, _, origin in ask("all trees", ())}
            to_begin = {tree.origin for tree in trees_to_begin(connection, [self.ledger.caller.tenant_id])}
            absent = sorted(to_begin | (verified_in(file, database) - begun))
            kept = [*self.against, *self._published(settings, [*(tree.origin for tree in stored_trees(connection)), *absent])]
            known, store = read_verified(file), self.ledger.recorder.store
            self.read = Verification(connection, publics, kept, known, self.progress, store, self.full, absent)
            yield from self.read.findings()
        note_verified(file, self.read.verified, database)

    def _published(self, settings: Settings, origins: Sequence[str]) -> Iterator[Kept]:
        for place in places(settings.seal_publish, settings.home):
            for origin in origins:
                try:
                    if (text := place.read(origin)) is not None:
                        yield Kept(text, place.name)
                except PlaceFailed as error:
                    self.unreachable.append(str(error))
                    break


def _publics(settings: Settings, keys: Sequence[str]) -> list[bytes] | None:
    try:
        named = [read_key(key).public for key in keys]
    except NoteRefused as error:
        raise UsageError(f"--key: {error}") from None
    return named or known_publics(settings.seal_key_file)
