"""The metrics of the ledger and its read models, whichever process is asked for them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from runfold.evidence.sealing.status import (
    PlaceStatus,
    SealStatus,
    WitnessStatus,
    place_statuses,
    seal_status,
    witness_statuses,
)
from runfold.ledger import Ledger
from runfold.projector.status import ProjectionState, ProjectionStatus
from runfold.queries.reactors import ReactorState, ReactorStatus
from runfold.queries.webhooks import DeliveryFigures, delivery_figures
from runfold.subscriptions.lags import Lag, lags


class LedgerFigures(NamedTuple):
    """The figures that a scrape reads from the database."""

    head: int
    projections: list[ProjectionStatus]
    delivery: DeliveryFigures
    reactors: list[ReactorStatus]
    subscriptions: list[Lag]
    sealing: SealStatus
    witnesses: list[WitnessStatus]
    places: list[PlaceStatus]


def read_figures(ledger: Ledger) -> LedgerFigures:
    """Return what the database says of the ledger. Raises LedgerError."""
    reader = ledger.recorder.reader
    return LedgerFigures(
        ledger.position(),
        ledger.projections(),
        delivery_figures(reader),
        ledger.reactors(),
        lags(reader),
        seal_status(reader),
        witness_statuses(reader),
        place_statuses(reader),
    )


def of_ledger(figures: LedgerFigures | None) -> Iterator[Metric]:
    """Yield the gauges of the ledger and its read models."""
    yield GaugeMetricFamily(
        "runfold_database_up", "1 if the database answered during this scrape, else 0.", value=int(figures is not None)
    )
    if figures is None:
        return
    yield GaugeMetricFamily("runfold_head_position", "The last position in the ledger.", value=figures.head)
    names = ("projection", "generation")
    position = GaugeMetricFamily("runfold_projection_position", "The last position applied by the read model.", labels=names)
    events = GaugeMetricFamily("runfold_projection_lag_events", "Events not applied yet.", labels=names)
    seconds = GaugeMetricFamily(
        "runfold_projection_lag_seconds",
        "Age of the oldest event not applied yet.",
        labels=names,
    )
    state = GaugeMetricFamily(
        "runfold_projection_state", "1 for the read model's current state, else 0.", labels=(*names, "state")
    )
    for found in figures.projections:
        labels = [found.name, str(found.generation or 0)]
        position.add_metric(labels, found.position or 0)
        events.add_metric(labels, found.behind_events)
        seconds.add_metric(labels, found.behind_seconds or 0.0)
        for name in get_args(ProjectionState):
            state.add_metric([*labels, name.replace(" ", "_")], int(name == found.state))
    yield from (position, events, seconds, state)
    yield from of_delivery(figures.delivery)
    yield from of_reactors(figures.reactors)
    yield from of_subscriptions(figures.subscriptions)
    yield from of_sealing(figures.sealing, figures.witnesses, figures.places)


def of_sealing(found: SealStatus, witnesses: Iterable[WitnessStatus], places: Iterable[PlaceStatus]) -> Iterator[Metric]:
    """Yield the gauges of the sealed log, of those who sign its checkpoints, too, and of where these are published."""
    about = "For how long the witness has not signed what it was asked to; 0 where it did."
    signing = {witness.witness: witness.failing_seconds for witness in witnesses}
    yield _of_each("runfold_seal_witness_failing_seconds", about, "witness", signing)
    about = "For how long the place could not be given a checkpoint; 0 where it has the last one."
    publishing = {place.place: place.failing_seconds for place in places}
    yield _of_each("runfold_seal_place_failing_seconds", about, "place", publishing)
    gauges = {
        "runfold_sealed_position": ("Up to where all events are sealed.", found.position),
        "runfold_unsealed_events": ("Events that are not sealed yet.", found.unsealed_events),
        "runfold_unsealed_age_seconds": ("Age of the oldest event that is not sealed yet.", found.unsealed_seconds),
        "runfold_seal_alarms": ("Events that were lost before they were sealed, or came in behind what was.", found.alarms),
    }
    yield from _plain(gauges)


def of_delivery(figures: DeliveryFigures) -> Iterator[Metric]:
    """Yield the gauges of what is sent to webhooks, and to the addresses that runs named."""
    gauges = {
        "runfold_webhooks_active": ("Webhooks that are sent events.", figures.webhooks),
        "runfold_webhooks_disabled": ("Webhooks that are disabled.", figures.disabled),
        "runfold_webhooks_lag_events": ("Events that the webhook furthest behind has not looked at.", figures.behind_events),
        "runfold_deliveries_waiting": ("What waits to be sent.", figures.waiting),
        "runfold_deliveries_failing": ("What waits to be sent again, after attempts that failed.", figures.failing),
        "runfold_deliveries_oldest_seconds": ("For how long the oldest of it has waited.", figures.oldest_seconds),
    }
    yield from _plain(gauges)


def of_reactors(reactors: Iterable[ReactorStatus]) -> Iterator[Metric]:
    """Yield the metrics of what happens by itself, whichever process carries it out."""
    done = CounterMetricFamily("runfold_reactor_done", "What happened by itself.", labels=("reactor", "what"))
    lag = GaugeMetricFamily(
        "runfold_reactor_lag_seconds", "For how long the oldest of what is to happen has been due.", labels=("reactor",)
    )
    state = GaugeMetricFamily("runfold_reactor_state", "1 for the reactor's current state, else 0.", labels=("reactor", "state"))
    for found in reactors:
        lag.add_metric([found.name], found.behind_seconds)
        for what, count in found.done.items():
            done.add_metric([found.name, what], count)
        for name in get_args(ReactorState):
            state.add_metric([found.name, name.replace(" ", "_")], int(name == found.state))
    yield from (done, lag, state)


def of_subscriptions(found: Iterable[Lag]) -> Iterator[Metric]:
    """Yield the gauges of subscriptions with a name."""
    names = ("subscription",)
    behind = GaugeMetricFamily("runfold_subscription_lag_events", "Positions that are not acknowledged yet.", labels=names)
    seconds = GaugeMetricFamily(
        "runfold_subscription_lag_seconds", "Age of the first event that is not acknowledged yet.", labels=names
    )
    held = GaugeMetricFamily(
        "runfold_subscription_events", "Events that are leased, waiting or parked.", labels=(*names, "state")
    )
    for each in found:
        behind.add_metric([each.name], each.positions)
        seconds.add_metric([each.name], each.seconds)
        for state, count in (("leased", each.leased), ("waiting", each.waiting), ("parked", each.parked)):
            held.add_metric([each.name, state], count)
    yield from (behind, seconds, held)


def _plain(gauges: Mapping[str, tuple[str, float]]) -> Iterator[Metric]:
    """Yield gauges without labels: of each name what it is of, and its value."""
    for name, (about, value) in gauges.items():
        yield GaugeMetricFamily(name, about, value=value)


def _of_each(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return a gauge with a value for each of some labels."""
    family = GaugeMetricFamily(name, about, labels=[label])
    for each, value in values.items():
        family.add_metric([each], value)
    return family
