"""The AsyncAPI document: what is sent by itself is as it says."""

import json
import re
from uuid import UUID

from jsonschema import Draft202012Validator

from runfold import Ledger, Run
from runfold.delivery.bodies import event_body
from runfold.domain.catalogue import event_types
from runfold.http.asyncapi import asyncapi

DOCUMENT = asyncapi(dict(sorted(event_types.all().items())))
EPOCH = UUID("1f2e3d4c-0000-4000-8000-000000000000")


def test_every_reference_leads_somewhere() -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT))):
        found = DOCUMENT
        for step in reference.split("/"):
            found = found[step]


def test_every_event_is_a_message_of_the_feed_and_all_but_those_of_delivery_of_webhooks() -> None:
    channels = DOCUMENT["channels"]
    assert channels["events"]["messages"].keys() == event_types.all().keys() | {"cloudevent"}
    own = {name for name in event_types.all() if name.startswith(("webhook.", "callback."))}
    assert channels["webhooks"]["messages"].keys() == (event_types.all().keys() - own) | {"thin", "cloudevent"}
    assert {operation["action"] for operation in DOCUMENT["operations"].values()} == {"send"}


def test_what_is_sent_fits_its_message(ledger: Ledger, run: Run) -> None:
    run.add_message("user", "Hello")
    for recorded in ledger.events():
        for form, content, message in (
            ("runfold", "whole", recorded.type),
            ("runfold", "thin", "thin"),
            ("cloudevents", "thin", "cloudevent"),
            ("cloudevents", "whole", "cloudevent"),
        ):
            body = event_body(recorded, EPOCH, form, content)  # type: ignore[arg-type]  # of those that there are
            payload = DOCUMENT["components"]["messages"][message]["payload"]
            schema = {**payload, "components": DOCUMENT["components"]}
            assert [error.message for error in Draft202012Validator(schema).iter_errors(json.loads(body.text))] == []
            assert DOCUMENT["components"]["messages"][message]["contentType"] == body.media_type
