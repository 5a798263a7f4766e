"""What is sent of an event, and how it is signed."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from runfold import Ledger, Run
from runfold.delivery.bodies import event_body
from runfold.delivery.signing import signed_headers

EPOCH = UUID("1f2e3d4c-0000-4000-8000-000000000000")
ONE, TWO = ("whsec_" + base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2))


def test_a_thin_body_says_which_event_it_is_and_nothing_of_what_was_said(ledger: Ledger, run: Run) -> None:
    run.add_message("user", "my card is 4111 1111")
    recorded = ledger.events(types="message.added")[0]
    for form in ("runfold", "cloudevents"):
        thin, whole = (event_body(recorded, EPOCH, form, content, "https://ledger.example/") for content in ("thin", "whole"))
        assert "4111" not in thin.text
        assert "4111" in whole.text
    said = json.loads(event_body(recorded, EPOCH, "runfold", "thin", "https://ledger.example/").text)
    assert said == {
        "event_id": str(recorded.event_id),
        "type": "message.added",
        "position": recorded.position,
        "cursor": f"{recorded.position}@1f2e3d4c",
        "stream": run.id,
        "version": recorded.version,
        "thread_id": recorded.thread_id,
        "run_id": run.id,
        "recorded_at": recorded.recorded_at.isoformat(),
        "link": f"https://ledger.example/events?after={recorded.position - 1}&up_to={recorded.position}",
    }
    whole = json.loads(event_body(recorded, EPOCH, "runfold", "whole").text)
    assert {**recorded.as_json(), "cursor": said["cursor"], "link": said["link"].removeprefix("https://ledger.example")} == whole


def test_a_cloudevent_has_the_attributes_that_version_1_asks_for(ledger: Ledger, run: Run) -> None:
    run.add_message("user", "Hello", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    recorded = ledger.events(types="message.added")[0]
    body = event_body(recorded, EPOCH, "cloudevents", "whole")
    said = json.loads(body.text)
    assert body.media_type == "application/cloudevents+json"
    assert (said["specversion"], said["id"], said["type"]) == ("1.0", str(recorded.event_id), "runfold.message.added")
    assert (said["source"], said["subject"]) == (f"urn:runfold:{recorded.tenant_id}", run.id)
    assert datetime.fromisoformat(said["time"]) == recorded.recorded_at
    assert int(said["sequence"]) == recorded.position
    assert said["traceparent"].startswith("00-0af7")
    assert said["data"] == recorded.event.model_dump(mode="json", exclude_none=True)
    assert all(name.isalnum() and name == name.lower() and len(name) <= 20 for name in said)


def test_a_signature_is_valid_for_the_librarys_verifier_under_both_secrets_while_they_change() -> None:
    moment = datetime.now(timezone(timedelta(hours=2)))
    body = json.dumps({"text": "\u00e4\u2028\U0001f600"}, ensure_ascii=False)
    headers = signed_headers([TWO, ONE], "evt_1", moment, body)
    for secret in (ONE, TWO):
        assert Webhook(secret).verify(body, headers) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Webhook(ONE).verify(body + " ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(ONE).verify(body, signed_headers([TWO], "evt_1", moment, body))
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(ONE).verify(body, signed_headers([ONE], "evt_1", datetime.now(UTC) - timedelta(minutes=6), body))
