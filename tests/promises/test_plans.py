"""Every statement is carried out by its index, whatever the database knows of its tables: nothing, or what was so on day one."""

from collections.abc import Iterator

import psycopg
import pytest

from runfold import Ledger
from runfold.store.reading.reader import PAGE
from tests.databases import fresh_database
from tests.promises.asked import ask_everything
from tests.promises.crowd import EVENTS, Crowd, first_day, multiply
from tests.promises.statements import Seen, looking, written

pytestmark = [pytest.mark.paired, pytest.mark.timeout(600)]
ELSEWHERE = (
    "cli/operate/server_checks",
    "store/setup/migration",
    "store/appending/append_call.sql: append after",
    "store/appending/append_call.sql: append groups after",
    "store/reading/history.",
    "store/reading/which_event.py",
    "projector/tables/schemas.py",
    "projector/tables/views.sql",
    "projector/checking/comparing.",
    "projector/tables/word_index.sql: index",
    "projector/tables/word_index.sql: function",
    "projector/tables/indexing.sql",
    "projector/tables/totals.sql: stored rows",
    "export/formats.py",
    "maintenance/backup.",
    "maintenance/restore.",
    "maintenance/checking.sql: repeated",
    "maintenance/checking.sql: before of another tenant",
    "evidence/bundles/bundle.sql: names call",
    "evidence/bundles/bundle.sql: streams without call",
    "evidence/sealing/sealing.sql: events of tenant",
    "evidence/sealing/sealing.sql: losses accepted",
    "evidence/verifying/verifying.sql: before the first",
)
"""What makes tables, what is about catalogues or single rows, what takes in the whole log or a table that was filled, what is
asked where something is damaged, differs or is not folded, frames of other statements."""


@pytest.fixture(scope="module")
def crowd(admin_url: str, template: str) -> Iterator[Crowd]:
    """Half a million events and the read models of them, loaded just now."""
    with fresh_database(admin_url, template, "plans") as database:
        yield multiply(first_day(database), EVENTS)


@pytest.fixture(scope="module", params=["no statistics", "statistics of the first day"])
def seen(request: pytest.FixtureRequest, crowd: Crowd, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What was sent while all was asked."""
    crowd.forget() if request.param == "no statistics" else crowd.believe_the_first_day()
    with psycopg.connect(crowd.database.admin_url) as connection:  # as if all but the end had been sealed
        connection.execute("UPDATE runfold.sealed_position SET position = greatest(position, %s)", [crowd.events - 1500])
    found, scans = Seen(), crowd.whole_readings()
    url, folder = crowd.database.projector_url, tmp_path_factory.mktemp("made")
    settings = crowd.database.settings.model_copy(update={"home": tmp_path_factory.getbasetemp() / "home"})
    with looking(found), Ledger.open(settings=settings) as ledger:
        ask_everything(ledger, url, folder, crowd.threads, crowd.runs, found)
    found.whole_readings = crowd.whole_readings() - scans
    return found


@pytest.mark.fault("K9")
@pytest.mark.row("LT-10")
def test_every_statement_is_carried_out_by_its_index(seen: Seen) -> None:
    assert "\n\n".join(f"{text}\n{fault}" for text, fault in seen.faults.items()) == ""
    assert seen.whole_readings == 0, "nor does a function of the database read the whole log"


def test_every_statement_that_is_written_was_sent(seen: Seen) -> None:
    unsent = [each.place for each in written() if not any(each.is_in(text) for text in seen.texts)]
    assert [place for place in unsent if not place.startswith(ELSEWHERE)] == []
    assert [known for known in ELSEWHERE if not any(place.startswith(known) for place in unsent)] == [], "these need no exception"


@pytest.mark.fault("K9")
def test_the_log_is_read_with_as_little_at_its_end_as_at_its_beginning(crowd: Crowd) -> None:
    crowd.forget()
    looked_at = []
    for first in (0, crowd.events * 9 // 10):
        before = crowd.pages_looked_at()
        with Ledger.open(settings=crowd.database.settings) as ledger:
            for page in range(12):
                assert len(ledger.recorder.reader.stretch(after=first + page * PAGE).events) == PAGE
        looked_at.append(crowd.pages_looked_at() - before)
    assert 0 < looked_at[1] < 1.25 * looked_at[0]
