"""What stands between a connected ledger and its server, and answers for it: whatever is asked, it is told as such."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger, LedgerError, RemoteLedger
from runfold.remote.subscriptions import RemoteSubscriptions
from tests.remote.asking import ASKED, ASKS_NOTHING, OF_LEDGER, OF_SUBSCRIPTION, QUESTIONED
from tests.remote.proxy import ALIVE, Proxy, answer

FOREIGN = {
    "a page": (answer("200 OK", b"<html>sign in</html>", kind="text/html; charset=utf-8"), "look at what the URL leads to"),
    "broken gzip": (answer("200 OK", b"no gzip", "content-encoding: gzip"), "does not answer"),
    "other JSON": (answer("200 OK", b'{"ok":true}'), "of another shape, as no Runfold server does; look"),
    "a list of others": (answer("200 OK", b'{"items":[{}],"next_cursor":null}'), "of another shape, as no Runfold server does"),
    "null": (answer("200 OK", b"null"), "of another shape, as no Runfold server does; look"),
    "a list": (answer("200 OK", b"[1]"), "of another shape, as no Runfold server does; look"),
    "half of a list": (answer("200 OK", b"[1"), "of another shape, as no Runfold server does; look"),
    "an odd Retry-After": (
        answer("429 Too Many Requests", b"slow down", "retry-after: \N{SUPERSCRIPT TWO}", kind="text/plain"),
        "answered 429 and no problem details, as what stands before a server does",
    ),
    "a stream of others": (
        answer("200 OK", b"event: message.added\ndata: {}\n\n", kind="text/event-stream"),
        "of another shape, as no Runfold|and not with application/(json|zip)",
    ),
}
_OTHER_KIND = "|(and not with (text/event-stream|application/zip)|without the header Runfold-Position), as no Runfold server does"
ANYTHING = {("ag_ui.list_of_run", "a list of others")}
"""Events of AG-UI are whatever an agent sent."""


@pytest.mark.parametrize("asked", [*ASKED, *QUESTIONED])
def test_whatever_stands_between_answers_no_request_with_a_trace(asked: str, tmp_path: Path) -> None:
    ask = {**ASKED, **QUESTIONED}[asked]
    with Proxy(None) as proxy:
        proxy.answers.append(ALIVE)
        with Ledger.connect(proxy.url, "rf_key", patience=0) as remote:
            for name, (told, words) in FOREIGN.items():
                if (asked, name) in ANYTHING:
                    continue
                proxy.answers.clear()
                proxy.answers.extend([told] * 4)
                with pytest.raises(LedgerError, match=words + _OTHER_KIND):  # noqa: PT012
                    ask(remote, tmp_path)
                    pytest.fail(f"{asked} takes {name} for an answer")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_answers_otherwise_is_told_to_be_of_another_version() -> None:
    with Proxy(None) as proxy:
        proxy.answers.extend([ALIVE, answer("200 OK", b'{"items":[{}],"next_cursor":null}', "runfold-position: 7")])
        with (
            Ledger.connect(proxy.url, "rf_key", patience=0) as remote,
            pytest.raises(LedgerError, match="of another version may; use"),
        ):
            remote.now.runs()


def test_every_method_that_asks_is_tried_here() -> None:
    def public(kind: type[Any]) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind) if not name.startswith(("_", "submit_"))}

    assert public(RemoteLedger) == OF_LEDGER.keys() | ASKS_NOTHING
    assert public(RemoteSubscriptions) == OF_SUBSCRIPTION.keys() | {"all"}
