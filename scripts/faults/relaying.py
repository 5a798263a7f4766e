"""The relay to NATS and its server, killed again and again: every event stands in the stream once, in order."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

from faults.nats_server import NatsServer, program
from faults.row import row
from faults.stage import Skipped, Stage
from runfold import Ledger, Settings
from runfold.domain.security import AUDITED
from runfold.settings import environment

KILLS, SHORT_KILLS = 10, 2
"""How often the relay is killed, and the server."""
KILL_SECONDS, WRITERS, BLOCK = 3.0, 2, 110
"""About as long as it takes until what was killed is at work again; and how much a writer writes between two pauses."""
STREAM = "FAULTS"


class RelayProcess:
    """`runfold relay nats`, which may be killed and is started again."""

    def __init__(self, settings: Settings, server: NatsServer, folder: Path, after: int = 0, *options: str) -> None:
        words = ["relay", "nats", "--stream", STREAM, "--after", str(after), *options]
        self._command = [sys.executable, "-P", "-m", "runfold.cli.main", *words]
        self._environment = {**environment(settings), "RUNFOLD_NATS_URL": server.url}
        self.log = folder / "relay.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)

    def kill(self) -> None:
        """End it with SIGKILL. Raises AssertionError where it had ended by itself."""
        if (process := self._process) is not None:
            assert process.poll() is None, self.log.read_text()[-2000:]
            process.kill()
            process.wait()
            self._process = None


class Killer:
    """Kills the relay and the server in turn, whenever the stream has grown by so much."""

    def __init__(self, server: NatsServer, relay: RelayProcess, every: int, kills: int, rng: Random) -> None:
        self._server, self._relay, self._every, self._rng = server, relay, every, rng
        self.left = {"relay": kills, "server": kills}
        self._next = every

    def look(self) -> int:
        """Kill one where it is time to; return how many messages there are."""
        count = self._server.count(STREAM)
        if count >= self._next and any(self.left.values()):
            self._next = count + self._every
            name = self._rng.choice([name for name, left in self.left.items() if left])
            self.left[name] -= 1
            victim: NatsServer | RelayProcess = self._server if name == "server" else self._relay
            victim.kill()
            victim.start()
        return count


def wanted_ids(ledger: Ledger, after: int = 0) -> list[str]:
    """The ids of the events that a relay sends, in order."""
    types = tuple(name.removesuffix("*") for name in AUDITED)
    return [str(each.event_id) for each in ledger.subscribe(after=after, follow=False) if not each.type.startswith(types)]


def difference(wanted: Sequence[str], found: Sequence[str]) -> str:
    """Say what is wrong with what stands in the stream; nothing where all is well."""
    if [*wanted] == [*found]:
        return ""
    facts = {
        "missing": len({*wanted} - {*found}),
        "unknown": len({*found} - {*wanted}),
        "twice": len(found) - len({*found}),
    }
    said = ", ".join(f"{count} {name}" for name, count in facts.items() if count)
    return f"of {len(wanted)} events: {said or 'another order'}"


@row("relay", "relay and nats-server, kill -9", share=0.09)
def relay_and_server(stage: Stage) -> None:
    """The relay to NATS and nats-server are killed ten times each, in short twice, while events are recorded and relayed. Every
    event stands in the stream once, under its id, in the order of the ledger."""
    if program() is None:
        raise Skipped("nats-server is not installed (Debian: apt-get install nats-server)")
    settings = Settings(database_url=stage.server.url)
    server = NatsServer(stage.folder)
    server.start()
    stage.cleanup(server.kill)
    relay = RelayProcess(settings, server, stage.folder, stage.after)
    relay.start()
    stage.cleanup(relay.kill)
    kills = SHORT_KILLS if stage.short else KILLS
    pause = stage.pace(2 * kills * KILL_SECONDS, WRITERS, BLOCK)
    stage.start_writers(WRITERS, modes=("window", "loop", "batch"), pause=pause)
    killer = Killer(server, relay, max(1, stage.events // (4 * kills)), kills, stage.rng)
    while not stage.enough(2 * kills - sum(killer.left.values()), 2 * kills):
        killer.look()
        stage.pause(0.02, 0.1)
    stage.finish()
    with Ledger.open(settings=settings) as ledger:
        wanted = wanted_ids(ledger, stage.after)
    count, looks = -1, 0
    while count < len(wanted) and looks < 3000:
        count, looks = killer.look(), looks + 1
        stage.pause(0.02, 0.1)
    found = [each.id for each in server.messages(STREAM)]
    stage.expect(not (wrong := difference(wanted, found)), wrong)
    stage.figures.measured |= {f"{name} killed": kills - left for name, left in killer.left.items()}
    stage.figures.measured |= {"relayed": len(found)}
