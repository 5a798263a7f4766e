"""What tests of values share: how a refusal is told, and what comes back from the log."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from runfold.domain.catalogue import event_types
from runfold.domain.event import refusal
from runfold.errors import InvalidEvent
from runfold.store.codec import Limits, encode

NO_LIMITS = Limits(2**30, 2**30)


def refused(make: Callable[[], object]) -> InvalidEvent:
    """What the caller is told."""
    with pytest.raises(ValidationError) as caught:
        make()
    return refusal(caught.value)


def with_field(event: BaseModel, **fields: object) -> Callable[[], object]:
    return lambda: type(event).model_validate({**event.model_dump(), **fields})


def read_back(event: Any) -> Any:
    return event_types.read(event.type, event.schema_version, encode(event, NO_LIMITS))
