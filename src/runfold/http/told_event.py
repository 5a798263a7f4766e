"""What answers and bodies hold of one event of a receipt."""

from runfold.http.bodies import Body


class ToldEvent(Body):
    """One event of a receipt, as it was told."""

    position: int
    tenant_id: str
    thread_id: str
    stream: str
    version: int
    type: str
    schema_version: int
    event_id: str
    recorded_at: str
    salt: str
    payload_sha256: str
    envelope_sha256: str
