"""Bodies of relayed events."""

from uuid import UUID

from runfold.delivery.bodies import BodyContent, BodyFormat, event_body
from runfold.delivery.relay.relaying import Body
from runfold.domain.recorded import Recorded


def relayed_body(format: BodyFormat, content: BodyContent, base_url: str) -> Body:
    """Return what writes the bodies. An event that is too large to be sent whole is sent thin: it holds up none behind it."""

    def body(recorded: Recorded, epoch: UUID, most_bytes: int) -> tuple[bytes, str]:
        made = event_body(recorded, epoch, format, content, base_url)
        text = made.text.encode()
        if content == "whole" and len(text) > most_bytes:
            made = event_body(recorded, epoch, format, "thin", base_url)
            text = made.text.encode()
        return text, made.media_type

    return body
