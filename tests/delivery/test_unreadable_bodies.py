"""An event that was damaged where it stands: nothing is sent of what nobody can read, and it is said which event it is."""

import json
from itertools import product
from typing import get_args
from uuid import UUID

import pytest

from runfold import Ledger
from runfold.delivery.bodies import Body, BodyContent, BodyFormat, event_body
from runfold.errors import Damage
from tests.damaged import DAMAGES, POSITION, damage, names_the_event, record
from tests.databases import TestDatabase

EPOCH = UUID("1f2e3d4c-0000-4000-8000-000000000000")


NEEDS = {"thin": ("recorded", "context"), "whole": ("recorded", "context", "metadata", "payload")}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_body_is_json_or_the_event_that_it_cannot_be_made_of_is_named(
    ledger: Ledger, database: TestDatabase, what: str
) -> None:
    record(ledger)
    stream = damage(database, POSITION, what)
    for form, content in product(get_args(BodyFormat), get_args(BodyContent)):
        body = _body(ledger, form, content)
        if isinstance(body, Damage):
            assert names_the_event(str(body), POSITION), (form, content, body)
        else:
            said = json.loads(body.text)
            assert stream in (said.get("stream"), said.get("subject")), (form, content)
            assert not what.startswith(NEEDS[content]), (form, content, body.text)


def _body(ledger: Ledger, form: BodyFormat, content: BodyContent) -> Body | Damage:
    try:
        recorded = ledger.recorder.reader.tolerant().at_positions([POSITION])[POSITION]
        return event_body(recorded, EPOCH, form, content)
    except Damage as error:
        return error
