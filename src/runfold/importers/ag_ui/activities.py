"""Activities of an AG-UI turn: snapshots, and the patches that change them, each a revision of a message."""

import jsonpatch

from runfold.commands.caller import Envelope
from runfold.domain.parts import DataPart, Part
from runfold.domain.step import apply_patch
from runfold.errors import InvalidEvent
from runfold.importers.ag_ui.conversation import Stage, TurnWriter
from runfold.importers.ag_ui.shapes import AgUiEvent
from runfold.importers.ag_ui.told import parts_told

_FAULTS = (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, KeyError, IndexError)


class Activities:
    """The activities of one run's events → commands."""

    def __init__(self, turn: TurnWriter) -> None:
        self.turn = turn
        self._known: dict[str, tuple[str, str, list[tuple[Part, ...]]]] = {}
        """By the source's ids: the message, its type, and all that it has said."""

    def take(self, event: AgUiEvent, envelope: Envelope) -> None:
        """Take in a snapshot or a change. Raises InvalidEvent for what does not fit."""
        kind = event.activity_type or event.type
        if event.type == "ACTIVITY_DELTA":
            self._change(event, envelope)
            return
        parts = parts_told(event.told, (DataPart(data=event.content, name=kind),))
        if event.message_id not in self._known:
            message_id = self.turn.numbered("msg", kind, event.message_id)
            self._add(event.message_id, message_id, None if event.told.get("no_type") is True else kind, parts, envelope)
        elif event.replace is not False:
            self._revise(event.message_id, parts, envelope)

    def keep(self, source_id: str, message_id: str, kind: str, parts: tuple[Part, ...]) -> None:
        """Know of an event that is kept whole as an activity, by the source's id: a snapshot of it is its next wording."""
        self.turn.talk.known_ids.add(source_id)
        self._known[source_id] = (message_id, kind, [parts])

    def _change(self, event: AgUiEvent, envelope: Envelope) -> None:
        known = self._known.get(event.message_id)
        if known is None:
            raise InvalidEvent("messageId", f"there is no activity {event.message_id!r} in this run")
        match known[2][-1]:
            case (DataPart(data=before, name=name),):
                try:
                    after = apply_patch(before, event.patch)
                except _FAULTS as error:
                    raise InvalidEvent("patch", f"does not apply: {error}") from None
                self._revise(event.message_id, (DataPart(data=after, name=name),), envelope)
            case _:
                raise InvalidEvent("patch", "changes an activity that is no object")

    def _add(self, source_id: str, message_id: str, kind: str | None, parts: tuple[Part, ...], envelope: Envelope) -> None:
        if source_id:
            self.turn.talk.known_ids.add(source_id)
            self._known[source_id] = (message_id, kind or "", [parts])

        def add(stage: Stage) -> None:
            if message_id not in stage.recording.known.wording:
                self.turn.source_run(stage).add_message("activity", parts, message_id=message_id, activity_type=kind, **envelope)

        self.turn.do(add)

    def _revise(self, source_id: str, parts: tuple[Part, ...], envelope: Envelope) -> None:
        message_id, _, wordings = self._known[source_id]
        if wordings[-1] == parts:
            return
        wordings.append(parts)
        number = len(wordings) - 1

        def revise(stage: Stage) -> None:
            recorded = stage.recording.known.wording.get(message_id)
            is_in = recorded is not None and recorded in wordings[number:]
            if not is_in:
                self.turn.source_run(stage).tip.message(message_id).revise(parts, **envelope)

        self.turn.do(revise)
