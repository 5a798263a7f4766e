"""What the environment may set: what is not valid is refused by the name of the setting, in our words, with what to write."""

import os
import re
from pathlib import Path

import pytest

from runfold import Ledger, Settings
from runfold.errors import UsageError

_SECRET = "s3cret"
INVALID = {
    "ACTOR": ["nobody", "robot:r2", "human:"],
    "ZONE": ["Mars/Olympus"],
    "TENANT": ["a b", ""],
    "QUEUE_SIZE": ["0", "many", "1.5"],
    "MAX_BODY_BYTES": ["1"],
    "CONNECT_TIMEOUT": ["soon", "0", "inf"],
    "AGENT_LEASE": ["inf"],
    "WEBHOOK_TIMEOUT": ["301"],
    "REQUESTS_A_SECOND": ["nan", "lots"],
    "PORT": ["65536", "http"],
    "HOST": [""],
    "PAGES": ["maybe"],
    "SWEEP": ["{", '{"x": 1}', '{"runs": "some"}', '{"idle_after": "0s"}', "[]", "/not/there", "~nobody-of-that-name/x"],
    "TRUSTED_PROXIES": ["proxy", "10.0.0.1/99"],
    "PUBLIC_HOSTS": ["a b"],
    "CORS_ORIGINS": ["app.example"],
    "WEBHOOK_PORTS": ["0", "https"],
    "WEBHOOK_ALLOW": ["1.2.3.4/99"],
    "WEBHOOK_DENY": ["host.example", "1.2.3.4/99"],
    "PUBLIC_URL": [
        "ledger.example",
        "https://",
        "ftp://ledger.example",
        "https://ledger.example/?a=1",
        "https://u:s3cret@x.example",
    ],
    "STEP_WEBHOOK_URL": ["hooks", "http://hooks.example.com/x", "https://10.0.0.1/s3cret", "https://localhost/x"],
    "SEAL_WITNESSES": ["witness.example", "http://w.example", "https://ok.example, https://u:s3cret@w.example:99999"],
    "SEAL_PUBLISH": ["http://notary.example", "git:", "/srv,https://"],
    "SEAL_TIMESTAMP_URL": ["stamps.example", "ftp://stamps.example", "http://u:s3cret@:80"],
    "NATS_URL": ["http://u:s3cret@host", "nats://u:s3cret@host:port", "host:4222,nats://"],
    "ENV_FILE": ["/not/there", "/", "/dev/null"],
    "LOG_LEVEL": ["loud"],
}
_OF_PYDANTIC = re.compile(r"Value error|Input should|String should|Extra inputs|unable to|validation error|pattern '")


@pytest.mark.parametrize(("setting", "text"), [(setting, text) for setting, texts in INVALID.items() for text in texts])
def test_what_is_not_valid_is_refused_by_name_with_what_to_write(
    setting: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"RUNFOLD_{setting}", text)
    with pytest.raises(UsageError) as refused:
        Settings()
    said = str(refused.value)
    assert said.startswith(f"RUNFOLD_{setting}"), said
    assert refused.value.facts["setting"] == f"RUNFOLD_{setting}"
    assert re.search("; (write|set|use|deny|give|name|unset) ", said), said
    assert not _OF_PYDANTIC.search(said), said
    assert _SECRET not in said


PATHS = [name for name, field in Settings.model_fields.items() if re.search(r"\bPath\b", str(field.annotation))]


@pytest.mark.parametrize("name", [*PATHS, "sweep"])  # which may be the path of a file, too
def test_a_path_that_is_empty_is_not_set_and_never_the_working_folder(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"RUNFOLD_{name.upper()}", raising=False)
    unset = getattr(Settings(), name)
    monkeypatch.setenv(f"RUNFOLD_{name.upper()}", "")
    assert getattr(Settings(), name) == unset


@pytest.mark.parametrize("name", PATHS)
def test_a_home_folder_stands_in_each_path_or_it_is_refused_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file").touch()
    monkeypatch.setenv(f"RUNFOLD_{name.upper()}", "~/file")
    assert getattr(Settings(), name) == tmp_path / "file"
    for text in ("~nobody-of-that-name/file", "~nobody-\udcff/file"):
        monkeypatch.setenv(f"RUNFOLD_{name.upper()}", text)
        with pytest.raises(UsageError, match=f"^RUNFOLD_{name.upper()}: .*; write") as refused:
            Settings()
        assert "no home folder of that user is known" in str(refused.value)


def test_a_person_without_a_home_folder_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNFOLD_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 987_654)
    with pytest.raises(UsageError, match=r"^RUNFOLD_HOME: '~/.runfold' cannot be found .*; write the whole path$"):
        Settings()


def test_addresses_of_ones_own_are_taken_as_they_are() -> None:
    taken = Settings(
        public_url="http://localhost:8765/runfold/",
        step_webhook_url="http://127.0.0.1:9000/steps",
        webhook_allow="127.0.0.0/8",
        seal_witnesses="https://ada:s|crét@w.example/x, http://127.0.0.1:1",
        seal_publish="/srv, git:~/notes, https://ada:secret@notary.example/x",
        seal_timestamp_url="http://stamps.example/tsa?a=1",
        nats_url="host:4222,tls://ada:p^ss@[::1],nats://host",  # type: ignore[arg-type]  # as from the environment
    )
    assert taken.address_rules.is_allowed(taken.address_rules.read(taken.step_webhook_url or "", "url"))
    nothing = dict.fromkeys(["public_url", "step_webhook_url", "seal_witnesses", "seal_publish", "nats_url"], "")
    empty = Settings(**nothing)  # type: ignore[arg-type]  # as a file of settings has them
    assert (empty.step_webhook_url, empty.witnesses) == (None, [])


ELSEWHERE = re.compile(
    "^(host|cors_origins|trusted_proxies|webhook_(http|allow)|max_(url_bytes|connections_per_address)|.*_key)$"
)
OF_DATABASES = re.compile("^(database|admin|projector|reader|sealer)_url$")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_that_holds_an_address_is_tried_here(name: str) -> None:
    """A new one is checked when it is read, like these, and not when it is first sent to."""
    description = Settings.model_fields[name].description or ""
    if re.search(r"\baddress|url|://", f"{description} {name}"):
        assert name.upper() in INVALID or ELSEWHERE.match(name) or OF_DATABASES.match(name)


@pytest.mark.parametrize(
    "name", [name for name, field in Settings.model_fields.items() if "duration" in (field.description or "")]
)
@pytest.mark.parametrize("text", ["inf", "1e300", "nan"])
def test_no_length_of_time_is_without_end(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a timer nor JSON takes one."""
    monkeypatch.setenv(f"RUNFOLD_{name.upper()}", text)
    with pytest.raises(UsageError, match=f"^RUNFOLD_{name.upper()}"):
        Settings()


def test_what_a_setting_takes_is_said_in_its_unit() -> None:
    with pytest.raises(UsageError, match=r"^RUNFOLD_MAX_BODY_BYTES takes 1024 or more, not '1'; set"):
        Settings(max_body_bytes="1")  # type: ignore[arg-type]  # as from the environment
    with pytest.raises(UsageError, match=r"^RUNFOLD_LOG_LEVEL takes 'debug', 'info', 'warning' or 'error', not 'loud'; set"):
        Settings(log_level="loud")  # type: ignore[arg-type]  # as from the environment


def test_a_file_of_settings_that_is_no_text_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings"
    file.write_bytes(b"RUNFOLD_ZONE=\xff\xfe\n")
    monkeypatch.setenv("RUNFOLD_ENV_FILE", str(file))
    with pytest.raises(UsageError, match=f"^RUNFOLD_ENV_FILE: {file} cannot be read .*; write it in UTF-8"):
        Settings()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("sslmod=require", "has a parameter that PostgreSQL does not know, sslmod; write"),
        ("sslmode=require&pool_size", "has a parameter that PostgreSQL does not know, pool_size; write"),
        ("sslmod=require&of=p@h", "cannot be read as the address of a PostgreSQL; write"),  # perhaps all is a password
        ("connect_timeout=soon", "takes a whole number of seconds for the parameter connect_timeout; write"),
    ],
)
def test_a_parameter_that_an_address_cannot_have_is_named(parameters: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"^RUNFOLD_DATABASE_URL {said}") as refused:
        Ledger.open(database_url=f"postgresql://u:{_SECRET}@h/x?{parameters}")
    assert _SECRET not in str(refused.value)


@pytest.mark.parametrize("setting", ["database_url", "admin_url", "projector_url", "reader_url", "sealer_url"])
@pytest.mark.parametrize("text", ["foo", "mysql://u:{}@h/x", "postgresql://u:{}%zz@h/x", "postgresql://u:a/{}?b=c@h/x"])
def test_what_is_no_address_of_a_database_is_refused_by_name_and_not_shown(setting: str, text: str) -> None:
    addresses = {"database_url": "postgresql://127.0.0.1:1/x", setting: text.format(_SECRET)}
    with pytest.raises(
        UsageError, match=f"^RUNFOLD_{setting.upper()} cannot be read as the address of a PostgreSQL; write"
    ) as refused:
        Ledger.open(**addresses)
    assert _SECRET not in str(refused.value)
