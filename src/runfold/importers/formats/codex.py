"""Sessions of the Codex CLI: `rollout-*.jsonl` below `~/.codex/sessions`, also packed as `.zst` or `.gz`.

A conversation is a thread: a session with its forks, and with the sessions of the agents that it spawned. Each turn is a run:
one prompt, and all that followed until the turn ended. `codex/heads` tells which files belong together, `codex/reading` reads
one of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from runfold.domain.values import digest
from runfold.errors import InvalidEvent
from runfold.ids import stable_id
from runfold.importers.codex.heads import Head, Heads, Watch, head_of
from runfold.importers.codex.lineage import Lineage
from runfold.importers.codex.lines import META, line_of, pieces
from runfold.importers.codex.path import FORMAT as NAME
from runfold.importers.codex.path import Spawner
from runfold.importers.codex.reading import Reader
from runfold.importers.format import Format, Parts, SourceThread, still_one
from runfold.importers.sections import sections
from runfold.importers.sources import Report, SourceFile, guarded, why
from runfold.importers.tally import Problem, Reports
from runfold.importers.turns.recording import record
from runfold.importers.turns.turn import Session
from runfold.importers.turns.values import mapping, text

_OTHERS = ("history.jsonl", "session_index.jsonl")
"""Files beside the sessions, which hold none."""
_ABOUT = ("cwd", "originator", "cli_version", "source")


def together(files: Sequence[SourceFile], _: Report) -> Iterator[Sequence[SourceFile]]:
    """The files of each conversation, with its forks and sub-agents."""
    parts = [part for file in files for part in sections(file, Watch)]
    return ([head.file for head in members] for _, members in _members(parts))


def thread(files: Sequence[SourceFile], report: Report) -> SourceThread | None:
    """The conversation in files that belong together; None where nobody has said anything yet."""
    root, members = still_one(_members(files), report)
    return _Reading(root, members, report).thread()


def _members(files: Sequence[SourceFile]) -> Iterator[tuple[str, list[Head]]]:
    """The files of each conversation, in the order in which its sessions came to be, and the session that it began with."""
    found = [file.looked_at("head", partial(head_of, file)) for file in files]
    heads = Heads()
    for head in found:
        if head.session_id is not None:
            heads.by_session.setdefault(head.session_id, head)
    groups: dict[str, list[Head]] = {}
    for head in found:
        groups.setdefault(heads.root(head), []).append(head)
    for root, members in groups.items():
        members.sort(key=lambda head: (heads.depth(head), _begun(head), head.file.name))
        yield root, members


class _Reading:
    """The files of one conversation."""

    def __init__(self, root: str, heads: Sequence[Head], report: Report) -> None:
        self._root = root
        self._heads = heads
        self._report = report
        self._digests: set[str] = set()
        self._spawns: dict[str, Spawner] = {}
        self._firsts: dict[str, str] = {}
        """The first run of each session."""
        self._lineage = Lineage()
        ids = tuple(dict.fromkeys(head.session_id for head in heads if head.session_id is not None)) or (root,)
        self.session = Session(stable_id("thread", NAME, root), NAME, ids[0], ids, _about(heads[0]))

    def thread(self) -> SourceThread | None:
        """The conversation as a thread; None where nobody has said anything yet."""
        for head in self._heads:
            self._read(head)
        if not self.session.turns:
            return None
        return SourceThread(
            self.session.thread_id,
            self.session.external_ref or self._root,
            digest("\n".join(sorted(self._digests))),
            self.session.source_ids,
            sum(head.file.share for head in self._heads),
            partial(record, self.session),
            files=tuple(head.file for head in self._heads),
        )

    def _read(self, head: Head) -> None:
        reports, known, first, at = Reports(), 0, "", None
        reader = self._reader(head, reports.take)
        try:
            for piece in pieces(head.file, reports.take):
                if not known and reports.is_strange:
                    break
                self._digests.add(piece.digest)
                with guarded(piece, reports.take):
                    line = line_of(piece, reader.fault(piece))
                    known += line is None or line.is_known
                    if line is None:
                        continue
                    at = line.at or at
                    if line.kind == META and piece.source == first:  # the whole file again, in itself
                        reader.close()
                        reader = self._reader(head, reports.take)
                    first = first or piece.source
                    reader.take(replace(line, at=at))
                    self._lineage.note(line, reader)
        except InvalidEvent as error:
            reports.take(Problem(head.file.name, None, why(error)))
        reader.close()
        self._lineage.end(head)
        if reader.path.before and head.session_id is not None:
            self._firsts.setdefault(head.session_id, reader.path.before[0].run_id)
        if not known:
            reports.keep_first("one of a Codex rollout")
        reports.tell(self._report)

    def _reader(self, head: Head, report: Report) -> Reader:
        reader = Reader(self._root, head, self.session, self._spawns, report)
        reader.path.spawner = self._spawner(head)
        self._lineage.begin(head, reader, report)
        return reader

    def _spawner(self, head: Head) -> Spawner | None:
        """The run and the call that spawned a session's agent; the parent's first run where no call names it."""
        if head.parent_id is None:
            return None
        path = text(head.own.get("agent_path")) or ""
        first = self._firsts.get(head.parent_id)
        by_call = self._spawns.get(head.session_id or "") or self._spawns.get(path)
        return by_call or (None if first is None else (first, None))


def _begun(head: Head) -> str:
    return text(head.own.get("timestamp")) or ""


def _about(head: Head) -> dict[str, object]:
    own = head.metas[-1] if head.metas else {}
    git = mapping(own.get("git"))
    about = {name: own[name] for name in _ABOUT if isinstance(own.get(name), str)}
    return {**about, **{f"git_{name}": git[name] for name in ("branch", "commit_hash") if isinstance(git.get(name), str)}}


def _wants(name: str) -> bool:
    plain = name.removesuffix(".zst")
    return plain not in _OTHERS and (plain.endswith(".jsonl") or (plain.startswith("rollout-") and plain.endswith(".json")))


FORMAT = Format.of_parts(_wants, Parts(together, thread))
