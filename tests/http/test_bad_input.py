"""What can never be recorded is refused at the door, with the field and the reason; nothing of it is stored."""

import gzip
import http.client
import json
import zlib
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from runfold import InvalidEvent, Ledger, Run

pytestmark = pytest.mark.shares
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="support").start_run()


def refused(answer: httpx2.Response, status: int = 422) -> dict[str, Any]:
    """The problem that a request was answered with."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "instance"} <= problem.keys()
    assert problem["status"] == status
    return problem


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        pytest.param(b'{"state": {"a": "x\\u0000y"}}', "body.state.a", "NUL", marks=pytest.mark.fault("F1")),
        pytest.param(b'{"state": {"a\\u0000": 1}}', "body.state", "NUL", marks=pytest.mark.fault("F1")),
        pytest.param(b'{"state": "\\ud800"}', "body.state", "surrogate", marks=pytest.mark.fault("F2")),
        pytest.param(b'{"state": NaN}', "body", "NaN", marks=pytest.mark.fault("F3")),
        pytest.param(b'{"state": -Infinity}', "body", "Infinity", marks=pytest.mark.fault("F3")),
        pytest.param(b'{"state": 1e400}', "body.state", "", marks=pytest.mark.fault("F3")),
        pytest.param(b'{"state": 1' + b"0" * 400 + b"}", "body.state", "64 bits", marks=pytest.mark.fault("F4")),
        pytest.param(b'{"state": {"a": 1, "a": 2}}', "body", "'a' twice", marks=pytest.mark.fault("F5")),
        pytest.param(b'{"state": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "body", "deep", marks=pytest.mark.fault("F6")),
        pytest.param(b'{"state": 1, "zzz": 1}', "body.zzz", "", marks=pytest.mark.fault("F13")),
        pytest.param(b'{"state": ', "body", "not JSON", id="cut off"),
        pytest.param(b"[1]", "body", "", id="not an object"),
        pytest.param(b'"text"', "body", "", id="text"),
        pytest.param(b"\xff\xfe{}", "body", "UTF-8", id="not UTF-8"),
        pytest.param(b"{}", "body.state", "required", id="empty", marks=pytest.mark.fault("F12")),
        pytest.param(b"", "body.state", "required", id="nothing", marks=pytest.mark.fault("F12")),
    ],
)
def test_a_body_that_cannot_be_is_refused_where_it_is_wrong(
    client: httpx2.Client, run: Run, body: bytes, path: str, reason: str
) -> None:
    problem = refused(client.put(f"/runs/{run.id}/state", content=body, headers=JSON))
    assert problem["path"].startswith(path)
    assert reason.lower() in problem["reason"].lower()
    assert run.view().version == 2


def test_a_mark_of_the_byte_order_before_a_body_is_none_of_it(client: httpx2.Client, run: Run) -> None:
    for body, status in ((b'\xef\xbb\xbf{"state": 1}', 200), (b'\xef\xbb\xbf{"state": ', 422), (b"\xef\xbb\xbf", 422)):
        answer = client.put(f"/runs/{run.id}/state", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, answer.text
    assert run.state() == 1


@pytest.mark.fault("F4", "F7", "F11")
@pytest.mark.parametrize(
    "state",
    [
        2**53 + 1,
        2**64 - 1,
        -(2**63),
        {"_type_": "nope", "_data_": 1},
        {"_type_": "uuid_hex", "_data_": "00"},
        "e\u0301 \u00e9 \u202eright to left\u202c \u200bzero\u200d \U0001f9d1\u200d\U0001f680 \ufdd0 \U0010ffff",
        "",
        {},
        [],
        None,
        {"": ""},
    ],
)
def test_what_is_json_comes_back_to_the_letter(client: httpx2.Client, run: Run, state: Any) -> None:
    body = json.dumps({"state": state}, ensure_ascii=False).encode()
    assert client.put(f"/runs/{run.id}/state", content=body, headers=JSON).status_code == 200
    assert client.get(f"/runs/{run.id}/state").json() == state


@pytest.mark.fault("F9")
def test_a_body_that_is_too_large_is_refused_while_it_streams_in(address: str, run: Run) -> None:
    where = urlsplit(address)
    assert where.hostname is not None
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    connection.putrequest("PUT", f"/runs/{run.id}/state")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    megabyte, sent = b"x" * 2**20, 0
    try:
        for _ in range(1024):  # a gigabyte, if the server took it
            connection.send(b"%x\r\n%b\r\n" % (len(megabyte), megabyte))
            sent += 1
    except OSError:
        pass  # it hung up, as it should
    finally:
        connection.close()
    assert sent < 200
    declared = httpx2.put(f"{address}/runs/{run.id}/state", content=b"x" * (17 * 2**20), headers=JSON, timeout=30)
    assert refused(declared, 413)["most"] == 16 * 2**20
    assert run.view().version == 2


@pytest.mark.fault("F10")
def test_a_body_that_grows_when_it_is_unpacked_is_refused_before_it_has(client: httpx2.Client, run: Run) -> None:
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(b"\0" * 2**20) for _ in range(1024)) + packer.flush()
    assert len(bomb) < 2**21
    packed = {**JSON, "Content-Encoding": "gzip"}
    refused(client.put(f"/runs/{run.id}/state", content=bomb, headers=packed), 413)
    assert client.put(f"/runs/{run.id}/state", content=gzip.compress(b'{"state": 1}'), headers=packed).status_code == 200
    broken = refused(client.put(f"/runs/{run.id}/state", content=gzip.compress(b'{"state": 2}')[:-9], headers=packed))
    assert "gzip" in broken["reason"]
    refused(client.put(f"/runs/{run.id}/state", content=b"{}", headers={**JSON, "Content-Encoding": "br"}), 415)
    assert run.state() == 1


@pytest.mark.fault("F14")
@pytest.mark.row("LT-24", "CV-25")
def test_what_the_rules_do_not_allow_is_refused_with_the_rule(client: httpx2.Client, run: Run) -> None:
    approval = run.request_approval("refund", arguments={"order": 7})
    early = refused(client.post(f"/runs/{run.id}/complete", json={}), 409)
    assert (early["stream"], early["state"]) == (run.id, f"waiting for {approval.id} at version 3")
    assert client.post(f"/approvals/{approval.id}/votes", json={"verdict": "approve"}).status_code == 200
    assert client.post(f"/approvals/{approval.id}/votes", json={"verdict": "approve"}).json()["appended"] == 0
    refused(client.post(f"/approvals/{approval.id}/votes", json={"verdict": "deny"}), 409)
    assert client.post(f"/runs/{run.id}/complete", json={}).status_code == 200
    refused(client.post(f"/runs/{run.id}/messages", json={"role": "user", "content": "late"}), 409)


@pytest.mark.fault("F15")
@pytest.mark.parametrize(
    "id",
    [
        "run_'; DROP TABLE runfold.log; --",
        "run_%00",
        "../../etc/passwd",
        "run_%F0%9F%98%80",
        "run_" + "x" * 5000,
        "%0d%0aX-Bad: 1",
    ],
)
def test_an_id_that_can_be_nobodys_is_not_found_and_says_nothing_of_the_database(client: httpx2.Client, id: str) -> None:
    for answer in (client.get(f"/runs/{id}"), client.post(f"/runs/{id}/complete", json={})):
        assert answer.status_code in {404, 422}
        assert "SQL" not in answer.text
        assert "syntax" not in answer.text
        assert "x-bad" not in answer.headers


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 400),
        ("limit=1001", 400),
        ("limit=x", 422),
        ("status=gone", 400),
        ("colour=red", 422),
        ("cursor=abc", 400),
        ("as_of=yesterday", 400),
        ("as_of=99999999", 400),
        ("as_of=2026-01-01T00:00:00", 400),
        ("as_of=1&min_position=1", 400),
        ("created_from=2026-01-01T00:00:00", 422),
        ("order=up", 422),
        ("as_of=%C2%B2", 400),
        ("as_of=" + "1" * 5000, 400),
        ("created_from=0", 422),
        ("min_position=-1", 400),
        ("min_position=999", 400),
        ("wait_seconds=61", 400),
        ("wait_seconds=nan", 422),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_with_what_can(
    client: httpx2.Client, ledger: Ledger, run: Run, query: str, status: int
) -> None:
    ledger.fold("run_summaries")
    refused(client.get(f"/runs?{query}"), status)


@pytest.mark.parametrize(
    "path",
    [
        "/threads/{thread}/items?first=99999999999999999999",
        "/threads/{thread}/items?at_version=-9223372036854775809",
        "/runs/{run}/messages?at_version=-1",
        "/threads/{thread}/messages?head=%00",
        "/goals/%00/progress",
        "/goals/%00/patterns",
        "/goals/a%00b/improvements",
        "/nodes/%00/performance",
    ],
)
def test_what_a_single_question_cannot_be_asked_with_is_refused_and_no_fault_of_the_database(
    client: httpx2.Client, ledger: Ledger, run: Run, path: str
) -> None:
    ledger.fold("goals", "decision_log", "run_summaries")
    refused(client.get(path.format(run=run.id, thread=run.view().thread_id)), 400)


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("/runs?limit=x", "limit: Input should be a valid integer"),
        ("/subscriptions?limit=x", "limit: Input should be a valid integer"),
        ("/moments?limit=x", "limit: Input should be a valid integer"),
        ("/events?follow=maybe", "follow: Input should be a valid boolean"),
        ("/events?format=xml", "format: Input should be 'runfold' or 'cloudevents'"),
        ("/events?from=2026-12-31T23:59:60Z", "from takes a time such as"),
        ("/runs/{run}/events?format=ag-ui&type=run.*&to=2026-12-31", "format=ag-ui is all of the run; leave out to, type"),
        ("/events?run_id={run}&run_id=run_other", "run_id: is given 2 times, and takes one value; send it once"),
        ("/events?thread_id=thread_1&thread_id=thread_1", "thread_id: is given 2 times"),
        ("/runs/{run}?at=1&at=2&at=1", "at: is given 3 times"),
        ("/runs?from=2026-01-01&from=2026-02-01", "from: is given 2 times"),
        ("/usage?from=2026-01-01&from=2026-01-02", "from: is given 2 times"),
        ("/runs?older_than=1h", "older_than: is not a known field; the fields are "),
    ],
)
def test_a_parameter_is_refused_by_the_name_that_it_was_sent_under(
    client: httpx2.Client, run: Run, query: str, detail: str
) -> None:
    answer = client.get(query.format(run=run.id))
    problem = refused(answer, answer.status_code)
    assert problem["detail"].startswith(detail)
    assert answer.status_code in {400, 422}
    assert "event_type" not in problem
    assert "the fields are" not in detail or problem["detail"].endswith(" more")


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ([{"type": "image", "url": "https://a.example/b.png"}], "content.0"),
        ([{"type": "text", "text": "Hello"}, {"type": "text"}], "content.1.text"),
        ([{"type": "text", "text": 7}], "content.0.text"),
        ([{"type": "data", "data": None, "title": 7}], "content.0.title"),
        ([7], "content.0"),
        (["Hello"], "content.0"),
    ],
)
def test_what_is_wrong_inside_a_value_of_several_types_is_told_where_it_is_and_as_python_tells_it(
    client: httpx2.Client, run: Run, content: Any, path: str
) -> None:
    with pytest.raises(InvalidEvent) as here:
        run.add_message("user", content)
    body: dict[str, Any] = {"role": "user", "content": content}
    problem = refused(client.post(f"/runs/{run.id}/messages", json=body))
    assert problem["path"] == f"body.{path}"
    if "object" not in problem["reason"]:  # of what is read from JSON other words say so
        assert problem["reason"] == here.value.reason
    batch = {"commands": [{"name": "runs.start"}, {"name": "messages.add", "body": body}]}
    assert refused(client.post(f"/runs/{run.id}/events", json=batch))["path"] == f"commands.1.body.{path}"


@pytest.mark.parametrize("content", [7, None, {"type": "text", "text": "Hello"}])
def test_what_is_of_no_type_that_is_taken_is_told_by_its_own_name(client: httpx2.Client, run: Run, content: Any) -> None:
    problem = refused(client.post(f"/runs/{run.id}/messages", json={"role": "user", "content": content}))
    assert problem["path"] == "body.content"


def test_a_body_that_is_not_json_at_all_is_of_the_wrong_kind(client: httpx2.Client, run: Run) -> None:
    refused(client.put(f"/runs/{run.id}/state", content=b"state=1", headers={"Content-Type": "text/plain"}), 415)


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_an_idempotency_key_that_can_be_none_is_refused(client: httpx2.Client, key: str) -> None:
    problem = refused(client.post("/threads", json={"agent_id": "a"}, headers={"Idempotency-Key": key}))
    assert problem["path"] == "Idempotency-Key"


def test_a_version_that_is_none_is_refused_and_another_one_is_a_failed_precondition(client: httpx2.Client, run: Run) -> None:
    assert refused(client.post(f"/runs/{run.id}/complete", json={}, headers={"If-Match": '"x"'}))["path"] == "If-Match"
    assert refused(client.post(f"/runs/{run.id}/complete", json={}, headers={"If-Match": b"\xb2"}))["path"] == "If-Match"
    late = refused(client.post(f"/runs/{run.id}/complete", json={}, headers={"If-Match": '"1"'}), 412)
    assert (late["expected"], late["actual"]) == (1, 2)
    tag = client.get(f"/runs/{run.id}").headers["etag"]
    assert client.post(f"/runs/{run.id}/complete", json={}, headers={"If-Match": tag}).status_code == 200


@pytest.mark.parametrize("lease", ["²s", "9" * 5000 + "s", "999999999d", "1 s", "-1s", "1w", ""])
def test_a_duration_that_is_none_is_refused(client: httpx2.Client, ledger: Ledger, run: Run, lease: str) -> None:
    refused(client.post(f"/runs/{run.id}/claim", json={"worker": "one", "lease": lease}))
    with pytest.raises(InvalidEvent):
        run.claim("one", lease=lease)


def test_text_is_no_number_and_an_empty_label_is_no_label(client: httpx2.Client, run: Run) -> None:
    assert refused(client.post(f"/runs/{run.id}/usage", json={"input_tokens": "7"}))["path"] == "body.input_tokens"
    assert refused(client.post(f"/runs/{run.id}/steps", json={"name": ""}))["path"] == "body.name"
    assert refused(client.post("/threads", json={"thread_id": ""}))["path"] == "body.thread_id"


def test_a_method_that_a_path_does_not_offer_is_answered_with_all_that_it_does(client: httpx2.Client) -> None:
    taken = {"/threads": "GET, HEAD, POST", "/threads/x": "DELETE, GET, HEAD, PATCH", "/runs/x/state": "GET, HEAD, PATCH, PUT"}
    for path, offered in taken.items():
        answer = client.options(path)
        refused(answer, 405)
        assert answer.headers["allow"] == offered
