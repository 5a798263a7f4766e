"""Receipts as clients keep them: read from what they kept, and held against the log."""

from collections.abc import Mapping, Sequence
from typing import Any

from runfold.commands.caller import Caller
from runfold.commands.submitted import Receipt
from runfold.domain.security import AUDITED
from runfold.errors import UsageError
from runfold.proofs.receipt import ReceiptUnreadable, ToldEvent, from_json, read_receipt
from runfold.queries.sealed.told_events import ReceiptVerification, verify_told
from runfold.store.reading.tenant_reader import TenantReader

AnyReceipt = Receipt | Mapping[str, Any] | str | bytes
"""A receipt as a command returned it, or the JSON that was kept of one, as text or as it was parsed."""


def told_by(receipt: AnyReceipt) -> tuple[ToldEvent, ...]:
    """Return what a receipt tells of each event. Raises UsageError for what is none, or tells of no event."""
    try:
        if isinstance(receipt, str | bytes):
            return read_receipt(receipt)
        return from_json(receipt.as_json() if isinstance(receipt, Receipt) else receipt)
    except ReceiptUnreadable as error:
        raise UsageError(f"the receipt cannot be read: {error}; give what `receipt.as_json()` returned") from None


def verify(reader: TenantReader, caller: Caller, events: Sequence[ToldEvent]) -> ReceiptVerification:
    """Hold what was told of events against the log. Raises UsageError for another tenant's, ScopeMissing, LedgerUnavailable."""
    beginnings = tuple(pattern.removesuffix("*") for pattern in AUDITED)
    if any(each.type.startswith(beginnings) for each in events):
        caller.require("audit:read")
    if strange := [each.tenant_id for each in events if each.tenant_id != caller.tenant_id]:
        raise UsageError(f"the receipt is of tenant {strange[0]!r}, and this is {caller.tenant_id!r}; ask as one of that tenant")
    return verify_told(reader, events)
