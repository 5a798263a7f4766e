"""What the environment may set. Flag > environment > a file that the user names > default; the prefix is `RUNFOLD_`.

Nothing is read from the working folder: whoever can write there could say which programs are run and which database is used.
"""

import re
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from runfold.domain.durations import parse_duration
from runfold.domain.sweep_policy import SweepPolicy, read_policy
from runfold.domain.times import parse_zone
from runfold.domain.values import PATTERN_WORDS, Actor
from runfold.domain.web_address import AddressRules, networks_and_hosts, read_nats_url, read_safe_url, read_url
from runfold.errors import InvalidEvent, UsageError, shortened
from runfold.file_errors import at_home, what_helps, why

MIB = 1024 * 1024
_A_YEAR = 366 * 86_400
_HOME = Path("~/.runfold")
_TENANT = r"^[A-Za-z0-9_.:@-]{1,100}$"
PATTERN_WORDS[_TENANT] = "is no name of a tenant; write 1 to 100 ASCII letters, digits and _ . : @ -"
_HOST, _ORIGIN = re.compile(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:]+"), re.compile(r"https?://[A-Za-z0-9_.:\[\]-]+")


def listed(text: str) -> list[str]:
    """Split comma-separated text."""
    return [part.strip() for part in text.split(",") if part.strip()]


def in_seconds(given: Any) -> Any:
    """A duration such as `90s` or `1500ms` in seconds; a number of seconds stays as it is. Raises ValueError."""
    if not isinstance(given, str):
        return given
    try:
        return float(given)
    except ValueError:
        return parse_duration(given).total_seconds()


Seconds = Annotated[float, BeforeValidator(in_seconds)]


def _path(given: Any) -> Any:
    """A path with the folder that `~` stands for; one that is empty is not set. Raises ValueError."""
    if not given or not isinstance(given, str | Path):
        return given or None
    try:
        return at_home(Path(given))
    except OSError as error:
        raise ValueError(f"{str(given)!r} cannot be found ({error.strerror}); write the whole path") from None


OptionalPath = Annotated[Path | None, BeforeValidator(_path)]


def _read_served(text: str) -> None:
    read_url(text)
    if "?" in text:
        raise ValueError("has a query (?…), after which no path can stand")


def _read_place(text: str) -> None:
    if text == "git:":
        raise ValueError("names no folder")
    if "://" in text:
        read_safe_url(text)


_ADDRESSES: Mapping[str, tuple[Callable[[str], object], str]] = {
    "public_url": (_read_served, "https://ledger.example"),
    "seal_publish": (_read_place, "https://notary.example, /a/folder or git:/a/folder"),
    "seal_witnesses": (read_safe_url, "https://witness.example"),
    "seal_timestamp_url": (partial(read_url, may_name_user=True), "https://stamps.example"),
    "nats_url": (read_nats_url, "nats://host:4222 or tls://host"),
}
"""Settings that hold addresses: how each is read, and what to write."""
_ONE_ADDRESS = {"public_url", "seal_timestamp_url"}


def _require_address(read: Callable[[str], object], text: str, example: str, *, is_secret: bool) -> None:
    """Raise ValueError for what is no address; no password that may stand in it is told."""
    try:
        read(text)
    except ValueError as error:
        which = "what it names" if is_secret or "@" in text else repr(shortened(text, 60))
        raise ValueError(f"{which} {error}; write one such as {example}") from None


class Settings(BaseSettings):
    """Read once, when a ledger is opened. `runfold doctor` prints the effective values with secrets hidden."""

    model_config = SettingsConfigDict(env_prefix="RUNFOLD_", extra="ignore", frozen=True)

    database_url: SecretStr | None = Field(None, description="PostgreSQL to use; the embedded one if not set")
    admin_url: SecretStr | None = Field(None, description="the same database as a role that may migrate it")
    projector_url: SecretStr | None = Field(None, description="the same database as a role that may fold read models")
    reader_url: SecretStr | None = Field(
        None, description="the same database as a role that only reads, for `runfold psql` and `runfold url`"
    )
    sealer_url: SecretStr | None = Field(None, description="the same database as a role that may seal the log")
    home: Annotated[Path, BeforeValidator(lambda given: _path(given or _HOME))] = Field(
        _HOME,
        validate_default=True,
        description="folder of the embedded database and of all that Runfold keeps on this machine",
    )
    mark_file: OptionalPath = Field(
        None,
        description="file outside the database that notes how far it was, so that an older copy is noticed (HOME/marks.json)",
    )
    pg_bin: OptionalPath = Field(None, description="folder with initdb and postgres, for the embedded database")
    unsafe_durability: bool = Field(False, description="start even where a crash would lose acknowledged events")
    connect_timeout: Seconds = Field(
        5.0, gt=0, le=3600, description="seconds, or a duration such as 5s, until an unreachable database is an error"
    )
    queue_size: int = Field(10_000, ge=1, description="commands that may wait to be appended")
    cached_streams: int = Field(10_000, ge=1, description="thread, run and approval states kept in memory")
    max_string_bytes: int = Field(2 * MIB, ge=1, description="longest string in an event")
    max_event_bytes: int = Field(8 * MIB, ge=1, description="largest event")
    tenant: str = Field("default", pattern=_TENANT, description="tenant whose threads are read and written")
    requests_a_second: float = Field(
        1000, ge=0, allow_inf_nan=False, description="requests per second allowed for each key; 0 for no limit"
    )
    agent_lease: Seconds = Field(
        15.0, gt=0, le=_A_YEAR, description="seconds until a run of an agent whose server died is taken over, or fails"
    )
    moments: int = Field(16, ge=0, description="moments of the past that may be prepared at once, of all tenants together")
    moments_per_tenant: int = Field(4, ge=0, description="moments of the past that one tenant may have prepared at once")
    key: SecretStr | None = Field(None, description="the key that `Ledger.connect` sends to a server")
    zone: str | None = Field(
        None,
        description="time zone of days and times given without one on the command line, such as Europe/Berlin; UTC if not set",
    )
    actor: str = Field("service:runfold", description="actor of commands that name none, as kind:id")
    host: str = Field("127.0.0.1", min_length=1, description="host name or address that `runfold serve` listens on")
    port: int = Field(8765, ge=0, le=65535, description="port that `runfold serve` listens on; 0 picks a free one")
    trusted_proxies: str = Field(
        "", description="comma-separated addresses and networks of proxies whose X-Forwarded-For or Forwarded is trusted"
    )
    public_hosts: str = Field(
        "", description="comma-separated host names that the server answers to besides this machine's own; any if not set"
    )
    cors_origins: str = Field("", description="comma-separated origins allowed by CORS, such as https://app.example; * for any")
    pages: bool = Field(True, description="whether `runfold serve` serves pages for people, under /ui")
    max_lag: Seconds = Field(
        60.0, gt=0, le=_A_YEAR, description="seconds, or a duration, that read models may be behind while /readyz says ready"
    )
    try_folds: bool = Field(
        True,
        description="whether a new version of your own projection is first tried in other processes, to find what is not pure",
    )
    fold_timeout: Seconds = Field(
        20.0,
        gt=0,
        le=_A_YEAR,
        description="seconds, or a duration, that a projection may take over an event before its process is ended",
    )
    fold_on_read: int = Field(
        10_000,
        ge=0,
        description="events that who reads folds first where no worker runs; more are left to a worker; 0 for none",
    )
    sweep: Annotated[SweepPolicy, NoDecode, BeforeValidator(read_policy)] = Field(
        default_factory=SweepPolicy,
        description="what happens to runs and approvals by itself: a JSON object, or the path of a file with one",
    )
    max_body_bytes: int = Field(16 * MIB, ge=1024, description="largest body of a request to `runfold serve`")
    max_bytes_in_flight: int = Field(
        128 * MIB, ge=MIB, description="bodies that `runfold serve` works on at once, in bytes; one owner of keys may have half"
    )
    max_head_bytes: int = Field(32 * 1024, ge=1024, description="largest request line and headers of a request")
    max_url_bytes: int = Field(16 * 1024, ge=256, description="longest URL of a request")
    head_timeout: Seconds = Field(
        10.0, gt=0, le=_A_YEAR, description="seconds, or a duration, that the headers of a request may take"
    )
    body_timeout: Seconds = Field(
        20.0,
        gt=0,
        le=_A_YEAR,
        description="seconds, or a duration, that a body may take; a large one has a second more for each 32 KiB",
    )
    max_connections: int | None = Field(
        None, ge=1, description="connections to `runfold serve` at once; none means as many as open files allow, less 96"
    )
    max_connections_per_address: int | None = Field(
        None, ge=1, description="connections of one address at once; none means three quarters of all"
    )
    max_import_bytes: int = Field(1024 * MIB, ge=1, description="largest file to import, once it is unpacked")
    price_lists: OptionalPath = Field(
        None, description="folder with wheels of genai-prices, for costs by another version than the installed (HOME/price-lists)"
    )
    webhook_http: bool = Field(False, description="whether things may be sent to http:// addresses too, which others can read")
    webhook_ports: str = Field("443,8443,80,8080", description="comma-separated ports that things may be sent to")
    webhook_allow: str = Field(
        "",
        description="comma-separated networks and host names that things may be sent to though they are private, in any way: "
        "for development, such as 127.0.0.0/8",
    )
    webhook_deny: str = Field("", description="comma-separated networks that nothing is sent to, whatever else is allowed")
    webhook_timeout: Seconds = Field(
        15.0, gt=0, le=300, description="seconds, or a duration, that a receiver of a webhook may take to answer"
    )
    webhook_keys: OptionalPath = Field(
        None, description="file with the keys that signing secrets are encrypted with, one a line (HOME/webhook-keys)"
    )
    seal_keys: OptionalPath = Field(
        None, description="file with the keys that checkpoints of the sealed log are signed with, one a line (HOME/seal-keys)"
    )
    seal_every: Seconds = Field(
        2.0, gt=0, le=3600, description="seconds, or a duration, from one checkpoint of the sealed log to the next"
    )
    seal_publish: str = Field(
        "",
        description="comma-separated places that checkpoints are published to beside HOME/sealed: folders,"
        " git:FOLDER of a Git repository, and https:// addresses that take PUT and give GET",
    )
    seal_witnesses: str = Field("", description="comma-separated https:// addresses of witnesses that sign each checkpoint, too")
    seal_timestamp_url: str | None = Field(
        None, description="address of a time stamp authority (RFC 3161) that stamps the checkpoints of bundles"
    )
    public_url: str = Field("", description="where the ledger is served for others, as webhooks link to it")
    step_webhook_url: str | None = Field(None, description="address that is told of every step that ends, by its id")
    step_webhook_key: SecretStr | None = Field(None, description="what step_webhook_url is sent as `Authorization: Bearer`")
    nats_url: SecretStr | None = Field(
        None, description="NATS servers that `runfold relay nats` sends to, comma-separated: nats://host:4222, tls://…"
    )
    nats_user: str | None = Field(None, description="user at the NATS server")
    nats_password: SecretStr | None = Field(None, description="password of that user")
    nats_token: SecretStr | None = Field(None, description="token, where the NATS server asks for one")
    nats_creds: OptionalPath = Field(None, description="file of credentials (.creds) for the NATS server")
    nats_ca: OptionalPath = Field(None, description="file with the certificates that the NATS server is verified with")
    env_file: OptionalPath = Field(
        None, description="file with more settings, as lines NAME=value; the environment takes precedence"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest level of log lines shown")

    @model_validator(mode="wrap")
    @classmethod
    def _says_what_is_wrong(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(given)
        except ValidationError as error:
            from runfold.refused_settings import refused_setting  # noqa: PLC0415  it is seldom needed

            raise refused_setting(error, str(cls.model_config["env_prefix"])) from None

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        for part in listed(text):
            try:
                ip_network(part, strict=False)
            except ValueError:
                raise ValueError(f"{part!r} is neither an address nor a network; write one such as 10.0.0.0/8") from None
        return text

    @field_validator("webhook_allow", "webhook_deny")
    @classmethod
    def _are_networks_or_hosts(cls, text: str, info: ValidationInfo) -> str:
        _, hosts = networks_and_hosts(listed(text))
        if hosts and info.field_name == "webhook_deny":
            raise ValueError(f"{min(hosts)!r} is a host name; deny networks, such as 192.0.2.0/24")
        return text

    @field_validator("webhook_ports")
    @classmethod
    def _are_ports(cls, text: str) -> str:
        for part in listed(text):
            if not (part.isascii() and part.isdecimal() and 0 < int(part) < 65536):
                raise ValueError(f"{part!r} is not a port; write numbers from 1 to 65535, such as 443,8443")
        return text

    @field_validator("actor")
    @classmethod
    def _is_an_actor(cls, text: str) -> str:
        try:
            Actor.parse(text)
        except InvalidEvent as error:
            raise ValueError(f"{error.reason}; write one such as service:runfold") from None
        return text

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, name: str | None) -> str | None:
        if name is not None:
            parse_zone(name)
        return name

    @field_validator("public_hosts")
    @classmethod
    def _are_hosts(cls, text: str) -> str:
        for part in listed(text):
            if not _HOST.fullmatch(part):
                raise ValueError(f"{part!r} is not a host name; use names only, such as ledger.example")
        return text

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, text: str) -> str:
        for part in listed(text):
            if part != "*" and not _ORIGIN.fullmatch(part):
                raise ValueError(f"{part!r} is not an origin; use scheme and host, such as https://app.example")
        return text

    @field_validator(*_ADDRESSES)
    @classmethod
    def _holds_addresses(cls, given: Any, info: ValidationInfo) -> Any:
        read, example = _ADDRESSES[str(info.field_name)]
        text = given.get_secret_value() if isinstance(given, SecretStr) else given or ""
        for part in [text] if info.field_name in _ONE_ADDRESS else listed(text):
            if part:
                _require_address(read, part, example, is_secret=isinstance(given, SecretStr))
        return given

    @field_validator("step_webhook_url")
    @classmethod
    def _is_set(cls, text: str | None) -> str | None:
        """What is empty is not set, as a file of settings has it."""
        return text or None

    @model_validator(mode="after")
    def _tells_of_steps_where_it_may(self) -> Self:
        if self.step_webhook_url is not None:
            name = "RUNFOLD_STEP_WEBHOOK_URL"
            try:
                self.address_rules.read(self.step_webhook_url, name)
            except InvalidEvent as error:
                raise UsageError(f"{error}, or name its host in RUNFOLD_WEBHOOK_ALLOW", setting=name) from None
        return self

    @field_validator("env_file")
    @classmethod
    def _must_be_there(cls, path: Path | None) -> Path | None:
        """Require the named file: a missing one would silently leave everything at its default."""
        if path is None:
            return None
        if not path.is_file():
            fact = "is no file that can be read more than once" if path.exists() else "is not there"
            raise ValueError(f"{str(path)!r} {fact}; name a file, or unset it")
        return path.absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, the environment, and the file that one of them names."""
        named: Any = init_settings().get("env_file") or env_settings().get("env_file")
        if not named:
            return init_settings, env_settings
        try:
            return init_settings, env_settings, DotEnvSettingsSource(settings_cls, env_file=at_home(Path(named)))
        except (OSError, UnicodeDecodeError) as error:
            fact, step = f"RUNFOLD_ENV_FILE: {named} cannot be read ({why(error)})", "write it in UTF-8, as lines NAME=value"
            step = what_helps(error, step) if isinstance(error, OSError) else step
            raise UsageError(f"{fact}; {step}", setting="RUNFOLD_ENV_FILE") from None

    @property
    def marks(self) -> Path:
        """Return the file that notes how far each history was seen."""
        return self.mark_file or self.home / "marks.json"

    @property
    def webhook_key_file(self) -> Path:
        """Return the file with the keys that signing secrets are encrypted with."""
        return self.webhook_keys or self.home / "webhook-keys"

    @property
    def witnesses(self) -> list[str]:
        """Return the addresses of those who sign checkpoints, too."""
        return [address.strip() for address in self.seal_witnesses.split(",") if address.strip()]

    @property
    def seal_key_file(self) -> Path:
        """Return the file with the keys that checkpoints are signed with."""
        return self.seal_keys or self.home / "seal-keys"

    @cached_property
    def address_rules(self) -> AddressRules:
        """Return where callers may have something sent."""
        networks, hosts = networks_and_hosts(listed(self.webhook_allow))
        denied, _ = networks_and_hosts(listed(self.webhook_deny))
        return AddressRules(
            frozenset({"https", "http"} if self.webhook_http else {"https"}),
            frozenset(int(port) for port in listed(self.webhook_ports)),
            networks,
            hosts,
            denied,
        )

    @property
    def price_list_folder(self) -> Path:
        """Where other versions of the price list are looked for."""
        return self.price_lists or self.home / "price-lists"


def environment(settings: Settings) -> dict[str, str]:
    """Settings as the environment of a process that is to have the same: a command line could be read by anybody."""
    found = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is not None:
            found[f"RUNFOLD_{name.upper()}"] = str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)
    return found
