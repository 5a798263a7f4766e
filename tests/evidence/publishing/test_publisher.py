"""Publishing beside the sealer: a place that fails, or is slow, holds up nothing, is tried again, and is told of."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import ClassVar

import pytest

from runfold import Ledger, Settings
from runfold.cli.operate.server_checks import examine_server
from runfold.errors import SealingRefused
from runfold.evidence.publishing import publisher
from runfold.evidence.publishing.places import Folder, Place, PlaceFailed
from runfold.evidence.publishing.publisher import Publisher
from runfold.evidence.sealer import Sealer
from runfold.evidence.sealing.comparing import stored_trees
from runfold.evidence.sealing.signing import read_signer
from runfold.evidence.sealing.status import PlaceStatus, place_statuses, seal_status
from runfold.http.metrics.ledger import of_sealing
from runfold.queries.sealed.log import CheckpointView
from runfold.store.datastore import Connection
from tests.waiting import until


class Away(Folder):
    """A folder that can be away."""

    asked_at: ClassVar[list[float]] = []
    is_away: ClassVar[bool] = True

    def read(self, origin: str) -> str | None:
        self.asked_at.append(publisher.time.monotonic())
        if self.is_away:
            raise PlaceFailed(f"{self.name} is away")
        return super().read(origin)


@pytest.fixture(autouse=True)
def away() -> None:
    Away.asked_at, Away.is_away = [], True


@contextmanager
def publishing(ledger: Ledger, *places: Place) -> Iterator[tuple[Publisher, Connection]]:
    """Publishes what is sealed to some places, and the session of who does."""
    with closing(ledger.database.sealing(5.0)) as datastore, datastore.reading() as connection:
        signer = read_signer(ledger.settings.seal_key_file, may_make=False)
        yield Publisher(places, datastore, lambda: signer.public_keys), connection


def notes(connection: Connection) -> dict[str, str]:
    return {tree.origin: tree.note for tree in stored_trees(connection) if tree.note is not None}


def statuses(ledger: Ledger) -> dict[str, PlaceStatus]:
    return {status.place: status for status in place_statuses(ledger.recorder.reader)}


def test_a_place_that_fails_is_tried_ever_more_seldom_until_it_has_the_checkpoint(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(publisher, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    with Ledger.open(settings=settings) as ledger:
        ledger.create_thread(agent_id="desk")
        Sealer(ledger).seal_all()
        place = Away(settings.home / "away")
        with publishing(ledger, place) as (acting, connection):
            for _ in range(100):
                clock[0] += 2.5
                acting.publish(connection, notes(connection))
                acting.wait(connection)
            assert [round(after - before, 1) for before, after in pairwise(place.asked_at)] == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
            assert list(acting.unpublished) == [place.name]
            Away.is_away = False
            clock[0] += 60
            acting.publish(connection, notes(connection))
            acting.wait(connection)
            assert acting.unpublished == {}
        assert place.read(ledger.checkpoint().origin) is not None


def test_how_each_place_does_is_told_by_doctor_and_metrics_until_no_sealer_tells_of_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(settings=settings) as ledger:
        ledger.create_thread(agent_id="desk")
        Sealer(ledger).seal_all()
        good, bad = Folder(settings.home / "good"), Away(settings.home / "bad")
        with publishing(ledger, good, bad) as (acting, connection):
            acting.publish(connection, notes(connection))
            acting.wait(connection)
            said = statuses(ledger)
            assert (said[good.name].error, said[bad.name].error) == (None, f"{bad.name} is away")
            assert (said[good.name].published_at is None, said[bad.name].published_at is None) == (False, True)
            checks = {
                check.fact: check.state
                for check in examine_server(ledger.recorder.reader, settings)
                if check.about == "publishing"
            }
            assert sum(bad.name in fact and state == "wrong" for fact, state in checks.items()) == 1
            assert sum(good.name in fact and state == "ok" for fact, state in checks.items()) == 1
            (_, failing, *_) = of_sealing(seal_status(ledger.recorder.reader), [], said.values())
            assert {sample.labels["place"]: sample.value > 0 for sample in failing.samples}[bad.name]
            since = said[bad.name].failing_seconds
            acting.hurry()
            acting.publish(connection, notes(connection))
            acting.wait(connection)
            assert statuses(ledger)[bad.name].failing_seconds >= since, "it is told since when, however often it was tried"
            Away.is_away = False
            acting.hurry()
            acting.publish(connection, notes(connection))
            acting.wait(connection)
            assert (statuses(ledger)[bad.name].error, statuses(ledger)[bad.name].failing_seconds) == (None, 0)
        monkeypatch.setattr(publisher, "_FORGET_SECONDS", 0.0)
        Sealer(ledger).seal_all()
        assert good.name not in statuses(ledger)
        assert bad.name not in statuses(ledger)


def test_a_place_that_is_silent_holds_up_neither_the_sealing_nor_any_other_place(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "_COMPARE_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent, Ledger.open(settings=settings) as ledger:
        ledger.settings = settings.model_copy(update={"seal_publish": f"http://127.0.0.1:{silent.getsockname()[1]}"})
        here, sealer = Folder(settings.home / "sealed"), Sealer(ledger)

        def has_published(checkpoint: CheckpointView) -> bool:
            sealer.react()
            return here.read(checkpoint.origin) == checkpoint.checkpoint

        for _ in range(3):
            ledger.create_thread(agent_id="desk")
            sealer.react()
            checkpoint = ledger.checkpoint()
            assert checkpoint.size == ledger.position()
            until(lambda: has_published(checkpoint))  # noqa: B023  it is called at once
        assert sealer.unpublished == {}, "nobody has waited for the silent one"


def test_a_place_that_answers_late_and_holds_another_past_stops_the_sealing_from_then_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Folder):
        may_answer = threading.Event()

        def read(self, origin: str) -> str | None:
            self.may_answer.wait()
            return super().read(origin)

    monkeypatch.setattr(publisher, "_COMPARE_SECONDS", 0.0)
    with Ledger.open(settings=settings) as ledger:
        ledger.create_thread(agent_id="desk")
        Sealer(ledger).seal_all()
        place = Slow(settings.home / "slow")
        with publishing(ledger, place) as (acting, connection):
            ((origin, note),) = notes(connection).items()
            place.write(origin, note.replace(f"\n{ledger.position()}\n", f"\n{ledger.position() + 7}\n"))
            acting.require_consistent(stored_trees(connection))  # it has not said anything yet

            def is_refused() -> bool:
                try:
                    acting.publish(connection, {})
                except SealingRefused as error:
                    return "is not a checkpoint of ours: the signature" in str(error)
                return False

            assert not is_refused()
            Slow.may_answer.set()
            until(is_refused)
            with pytest.raises(SealingRefused):
                acting.require_consistent(stored_trees(connection))
            place.write(origin, note)
            acting.require_consistent(stored_trees(connection))
            assert not is_refused()


def test_a_later_checkpoint_is_not_written_over_by_one_that_was_long_on_its_way(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger:
        ledger.create_thread(agent_id="desk")
        Sealer(ledger).seal_all()
        place = Folder(settings.home / "shared")
        with publishing(ledger, place) as (late, connection), publishing(ledger, place) as (another, _):
            early = notes(connection)
            ledger.create_thread(agent_id="desk")
            Sealer(ledger).seal_all()
            for acting, given in ((another, notes(connection)), (late, early)):
                acting.publish(connection, given)
                acting.wait(connection)
            (origin,) = early
            assert place.read(origin) == notes(connection)[origin] != early[origin]
