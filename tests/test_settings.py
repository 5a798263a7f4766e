"""What the environment may set: what is not valid is refused by the name of the setting, in our words, with what to write."""

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
    "SWEEP": ["{", '{"x": 1}', '{"runs": "some"}', '{"idle_after": "0s"}', "[]", "/not/there"],
    "TRUSTED_PROXIES": ["proxy", "10.0.0.1/99"],
    "PUBLIC_HOSTS": ["a b"],
    "CORS_ORIGINS": ["app.example"],
    "WEBHOOK_PORTS": ["0", "https"],
    "WEBHOOK_ALLOW": ["1.2.3.4/99"],
    "WEBHOOK_DENY": ["host.example", "1.2.3.4/99"],
    "ENV_FILE": ["/not/there"],
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
    assert re.search("; (write|set|use|deny|name|unset) ", said), said
    assert not _OF_PYDANTIC.search(said), said


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


@pytest.mark.parametrize("setting", ["database_url", "admin_url", "projector_url", "reader_url", "sealer_url"])
@pytest.mark.parametrize("text", ["foo", "mysql://u:{}@h/x", "postgresql://u:{}%zz@h/x", "postgresql://u:{}@h/x?of=1"])
def test_what_is_no_address_of_a_database_is_refused_by_name_and_not_shown(setting: str, text: str) -> None:
    addresses = {"database_url": "postgresql://127.0.0.1:1/x", setting: text.format(_SECRET)}
    with pytest.raises(
        UsageError, match=f"^RUNFOLD_{setting.upper()} cannot be read as the address of a PostgreSQL; write"
    ) as refused:
        Ledger.open(**addresses)
    assert _SECRET not in str(refused.value)
