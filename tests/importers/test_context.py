"""What imports record says of each event what it is about, as what commands record does."""

from tests.contexts import require_contexts
from tests.importers.conftest import Imported


def test_every_event_of_the_real_runs_has_beside_it_what_it_is_about(imported: Imported) -> None:
    seen = require_contexts(imported.ledger.recorder.reader.events())
    assert seen >= {"tool.called", "tool.succeeded", "tool.failed", "approval.granted", "message.added", "decision.made"}
