"""Whom somebody who verifies trusts: keys of logs and witnesses, and how many witnesses it takes; written as C2SP's policies.

log runfold/3f…+1a2b3c4d+AQ…
witness one witness.example/one+5e6f7a8b+BA…
witness two witness.example/two+9c0d1e2f+BA…
group both all one two
quorum both
timestamp notary MIIB…

The last line is ours: the certificate, in base64, that the time stamps of an authority come from. One is asked for then.
"""

from dataclasses import dataclass, field

from runfold.proofs.note import COSIGNATURE, ED25519, Checkpoint, Key, NoteRefused, Signed, read_key
from runfold.proofs.timestamp import TimestampRefused, read_certificate

_MOST_LINES = 4096


class PolicyRefused(ValueError):
    """A policy that cannot be read."""


@dataclass
class Policy:
    """Whom somebody trusts."""

    logs: list[Key] = field(default_factory=list)
    witnesses: dict[str, Key] = field(default_factory=dict)
    groups: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    quorum: str | None = None
    authorities: dict[str, bytes] = field(default_factory=dict)
    """Who stamps checkpoints with the time: certificates by name."""

    def trusted(self, signed: Signed) -> Checkpoint:
        """Return what a note says, if those who must have signed it have. Raises NoteRefused."""
        checkpoint = signed.checkpoint()
        by = signed.signed_by([*self.logs, *self.witnesses.values()])
        if not any(key.name == checkpoint.origin and key in self.logs for key in by):
            raise NoteRefused(f"no log of the policy has signed it as {checkpoint.origin}")
        if self.quorum not in {None, "none"} and not self._has(str(self.quorum), by):
            witnesses = [name for name, key in self.witnesses.items() if key in by]
            raise NoteRefused(f"the quorum is missing: witnesses that signed it: {', '.join(witnesses) or 'none'}")
        return checkpoint

    def _has(self, name: str, by: list[Key]) -> bool:
        if name in self.witnesses:
            return self.witnesses[name] in by
        least, members = self.groups[name]
        return sum(self._has(member, by) for member in members) >= least


def read_policy(text: str) -> Policy:
    """The text of a policy → whom it trusts. Raises PolicyRefused, which names the line."""
    policy, used = Policy(), set[str]()
    if text.count("\n") > _MOST_LINES:
        raise PolicyRefused(f"it has more than {_MOST_LINES} lines")
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            _take(policy, words, used)
        except (NoteRefused, PolicyRefused, TimestampRefused) as error:
            raise PolicyRefused(f"line {number}: {error}") from None
    if policy.quorum is None:
        raise PolicyRefused("it has no quorum; write `quorum none` where no witness is needed")
    if not policy.logs:
        raise PolicyRefused("it names no log")
    return policy


def _take(policy: Policy, words: list[str], used: set[str]) -> None:
    match words:
        case ["log", text] | ["log", text, _]:
            key = read_key(text)
            if key.purpose != ED25519 or any(key.public == other.public and key.name == other.name for other in policy.logs):
                raise PolicyRefused("the key is not that of a log, or was named before")
            policy.logs.append(key)
        case ["witness", name, text] | ["witness", name, text, _]:
            _require_new(policy, name)
            key = read_key(text)
            if key.purpose != COSIGNATURE or any(key.public == other.public for other in policy.witnesses.values()):
                raise PolicyRefused("the key is not that of a witness, or was named before")
            policy.witnesses[name] = key
        case ["group", name, least, *members] if members:
            _require_new(policy, name)
            count = {"all": len(members), "any": 1}.get(least, int(least) if least.isdecimal() and len(least) < 6 else 0)
            if not 1 <= count <= len(members):
                raise PolicyRefused(f"{least!r} of {len(members)} cannot be")
            for member in members:
                if not (member in policy.witnesses or member in policy.groups) or member in used:
                    raise PolicyRefused(f"{member!r} is not named above, or is in a group already")
                used.add(member)
            policy.groups[name] = count, tuple(members)
        case ["timestamp", name, text]:
            if name in policy.authorities:
                raise PolicyRefused(f"{name!r} is named twice")
            policy.authorities[name] = read_certificate(text)
        case ["quorum", name] if policy.quorum is None:
            if name != "none" and not (name in policy.witnesses or name in policy.groups):
                raise PolicyRefused(f"{name!r} is not named above")
            policy.quorum = name
        case _:
            lines = "`log KEY`, `witness NAME KEY`, `group NAME K|any|all MEMBER…`, `timestamp NAME CERTIFICATE`"
            raise PolicyRefused(f"a line is {lines} or, once, `quorum NAME`")


def _require_new(policy: Policy, name: str) -> None:
    if name == "none" or name in policy.witnesses or name in policy.groups:
        raise PolicyRefused(f"{name!r} is named twice")
