"""What a reading of a source holds, counted without recording it."""

from runfold.importers.acts import kinds as acts
from runfold.importers.claude.session import Session as ClaudeSession
from runfold.importers.claude.talk import asked_by, used_in
from runfold.importers.tally import Tally
from runfold.importers.turns import turn as turns


def counts_of(read: "acts.Story | turns.Session | ClaudeSession") -> Tally:
    """Return the counts of a thread as it was read."""
    if isinstance(read, acts.Story):
        return _of_acts(read)
    return _of_turns(read) if isinstance(read, turns.Session) else _of_claude(read)


def _of_acts(story: acts.Story) -> Tally:
    tally, seen = Tally(threads=1), set[tuple[str, acts.Name]]()
    for act in story.acts:
        key = (type(act).__name__, getattr(act, "name", act.run))
        if key in seen:
            continue
        seen.add(key)
        match act:
            case acts.Began():
                tally.runs += 1
            case acts.Said():
                tally.messages += 1
            case acts.Called():
                tally.tool_calls += 1
            case acts.CallEnded(how="failed"):
                tally.tool_errors += 1
            case acts.Asked(verdict=verdict):
                tally.approvals += 1
                tally.tool_errors += verdict == "deny"
            case acts.Chose():
                tally.decisions += 1
            case acts.Used(tokens=tokens):
                tally.add_tokens(tokens.get("input_tokens"), tokens.get("output_tokens"))
    return tally


def _of_turns(session: turns.Session) -> Tally:
    tally = Tally(threads=1, runs=len(session.turns))
    for step in (step for turn in session.turns.values() for step in turn.steps.values()):
        match step.fact:
            case turns.Said():
                tally.messages += 1
            case turns.Called():
                tally.tool_calls += 1
            case turns.Asked():
                tally.approvals += 1
            case turns.Chosen():
                tally.decisions += 1
            case turns.CallEnded(outcome="failed") | turns.Answered(granted=False, call_id=str()):
                tally.tool_errors += 1
            case turns.Used(tokens=tokens):
                tally.add_tokens(tokens.get("input_tokens"), tokens.get("output_tokens"))
    return tally


def _of_claude(session: ClaudeSession) -> Tally:
    tally = Tally(threads=1, runs=0 if session.main.turns else 1)
    for conversation in session.story.conversations.values():
        tally.runs += len(conversation.turns)
        for node in (node for node in conversation.nodes if node.kind != "boundary"):
            tally.messages += len(node.results) + node.has_words
            tally.tool_errors += sum(block.is_error for block, _ in node.results)
            tally.tool_calls += len(node.calls)
            asks = [ask for call in node.calls for ask in asked_by(call)]
            tally.approvals += len(asks)
            tally.decisions += sum(bool(ask.chosen) for ask in asks)
            for used in used_in(node):
                tally.add_tokens(used.counts.input_tokens, used.counts.output_tokens)
    return tally
