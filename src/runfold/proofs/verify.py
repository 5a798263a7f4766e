"""`runfold-verify BUNDLE --policy FILE`: whether a bundle proves what it says. Needs Python and `cryptography`, and no network.

The keys are those of the policy of whoever verifies, never of the bundle. Verdicts: an event is VERIFIED, REDACTED (its payload
is left out, all else is verified) or ALTERED; a thread is COMPLETE (all its events up to the checkpoint are there), SUPPORTED
(no event is missing in between, but the checkpoint has no map that says where it ends) or INCOMPLETE; what is to be absent is
ABSENT or NOT PROVEN; rows of a read model are REFOLDED (the events come to them), DIFFERS or NOT REFOLDED (that was not tried, or
cannot be); a sample is DRAWN (the runs are those that the seed draws) or NOT DRAWN, from a population that is COMPLETE, GIVEN (it
may lack some) or INCOMPLETE. Exit 0: all is proven. 1: something is not. 2: nothing can be said of it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from runfold.proofs.absence import AbsenceSearch
from runfold.proofs.answer import NOT_HERE, NOT_TRIED, AnswerSearch, Folding
from runfold.proofs.claims import read_claims
from runfold.proofs.container import ANSWER, CHECKPOINT, CLAIMS, SAMPLE, TIMESTAMP, Bundle, BundleUnreadable, open_bundle
from runfold.proofs.findings import AnswerFound, Findings, SampleFound, Search
from runfold.proofs.leaf import canonical
from runfold.proofs.note import Checkpoint, NoteRefused, read_note
from runfold.proofs.policy import Policy, PolicyRefused, read_policy
from runfold.proofs.reading import BundleReading
from runfold.proofs.receipt import MOST_BYTES, ReceiptUnreadable, ToldEvent, read_receipt
from runfold.proofs.receipt_search import ReceiptSearch
from runfold.proofs.sample import SampleSearch
from runfold.proofs.timestamp import TimestampRefused, stamped
from runfold.standard_streams import INTERRUPTED, PIPE_CLOSED, OutputRefused, complaining, discard, prepare

PROVEN, NOT_PROVEN, UNREADABLE = 0, 1, 2
_MOST_POLICY = 1024 * 1024
_MOST_NAMED = 100
_BROKEN = (RecursionError, MemoryError, OSError)


def verify_bundle(
    bundle: Bundle, policy: Policy, folding: Folding | None = None, why_not: str = NOT_TRIED, told: Sequence[ToldEvent] = ()
) -> Findings:
    """Verify a bundle as a policy asks, and hold a receipt against it. Raises BundleUnreadable, NoteRefused."""
    checkpoint, timestamp = policy.trusted(read_note(bundle.text(CHECKPOINT))), _timestamp(bundle, policy)
    found = findings_of(bundle, checkpoint, folding, why_not, told)
    found.timestamp = timestamp
    return found


def _timestamp(bundle: Bundle, policy: Policy) -> str | None:
    """When an authority of the policy saw the checkpoint. Raises TimestampRefused where it names any and none has."""
    if not policy.authorities:
        return "NOT LOOKED AT: the policy names no authority" if bundle.has(TIMESTAMP) else None
    if not bundle.has(TIMESTAMP):
        raise TimestampRefused("it is missing, and the policy names who makes them")
    found = stamped(bundle.raw(TIMESTAMP), bundle.raw(CHECKPOINT), policy.authorities)
    return f"{found.at.isoformat()} by {found.authority}"


def findings_of(
    bundle: Bundle,
    checkpoint: Checkpoint,
    folding: Folding | None = None,
    why_not: str = NOT_TRIED,
    told: Sequence[ToldEvent] = (),
) -> Findings:
    """Hold a bundle against a checkpoint that is trusted already. Raises BundleUnreadable."""
    claims, searches = read_claims(bundle.text(CLAIMS)), list[Search]()
    beside = {ANSWER: claims.answer, SAMPLE: claims.sample}
    bundle.require_claimed({name for name, claim in beside.items() if claim is not None})
    if claims.absence is not None:
        searches.append(AbsenceSearch(claims.absence))
    if claims.answer is not None:
        searches.append(AnswerSearch(bundle, claims.answer, folding, why_not))
    if told:
        searches.append(ReceiptSearch(told))
    if claims.sample is not None:
        searches.append(SampleSearch(bundle, claims.sample))
    found = BundleReading(bundle, checkpoint, claims, searches).findings()
    found.passed_over = bundle.passed_over
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run `runfold-verify`; return the exit code."""
    if arguments is None:
        prepare()
    try:
        code = _verify(_asked(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except OutputRefused as error:
        discard(sys.stdout)
        _complain(f"standard output cannot be written: {error.strerror}")
        return UNREADABLE
    return code


def _verify(asked: argparse.Namespace) -> int:
    how = (_installed_folding(), NOT_HERE) if asked.refold else (None, NOT_TRIED)
    try:
        told = () if asked.receipt is None else _receipt(asked.receipt)
        found = verify_bundle(open_bundle(asked.bundle), _policy(asked.policy), *how, told)
    except (BundleUnreadable, NoteRefused, PolicyRefused, ReceiptUnreadable, TimestampRefused, *_BROKEN) as error:
        kind: dict[type[BaseException], str] = {
            NoteRefused: "the checkpoint is not to be trusted",
            PolicyRefused: "the policy cannot be read",
            ReceiptUnreadable: "the receipt cannot be read",
            TimestampRefused: "the time stamp is not to be trusted",
        }
        why = "there is not enough memory to read it" if isinstance(error, MemoryError) else error
        fact = " ".join(f"{kind.get(type(error), 'the bundle proves nothing')}: {why}".split())
        if asked.json:
            _print({"verdict": "UNREADABLE", "problems": [fact]})
        else:
            _complain(fact)
        return UNREADABLE
    if asked.json:
        _print(as_json(found))
    else:
        print("\n".join(as_lines(found)))  # noqa: T201
    return PROVEN if found.proven else NOT_PROVEN


def _installed_folding() -> Folding | None:
    """The folds of the Runfold that is installed here, if one is. Whoever does not ask for them needs none of it."""
    try:
        folding: Folding = import_module("runfold.evidence.bundles.refolding").folding
    except ImportError:
        return None
    return folding


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    try:
        return _parser().parse_args(arguments)
    finally:
        sys.stdout.flush()  # of the help, after which argparse exits


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "runfold-verify",
        description="Verify a bundle of evidence offline. Exit 0: proven; 1: not proven; 2: unreadable or not trusted.",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a folder or a .zip that `runfold evidence` made")
    parser.add_argument("--policy", type=Path, required=True, metavar="FILE", help="whom you trust: keys of logs and witnesses")
    parser.add_argument(
        "--refold", action="store_true", help="fold the events of an answer anew and compare; needs Runfold, not the file alone"
    )
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="a receipt that you kept: was each event sealed as told?")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def as_json(found: Findings) -> dict[str, Any]:
    """What was found, for machines."""
    return {
        "verdict": found.verdict,
        "origin": found.checkpoint.origin,
        "size": found.checkpoint.size,
        "root": found.checkpoint.root.hex(),
        "events": dict(sorted(found.counts.items())),
        "threads": found.threads,
        "absence": found.absence,
        "answer": None if found.answer is None else _answer_as_json(found.answer),
        "timestamp": found.timestamp,
        "receipt": found.receipt,
        "sample": None if found.sample is None else _sample_as_json(found.sample),
        "passed_over": [*found.passed_over[:_MOST_NAMED]],
        "problems": found.problems,
        "problem_count": found.problem_count,
    }


def as_lines(found: Findings) -> list[str]:
    """What was found, for people. The last line is the verdict."""
    checkpoint = found.checkpoint
    size = "1 event" if checkpoint.size == 1 else f"{checkpoint.size} events"
    lines = [f"checkpoint  {_plain(checkpoint.origin)}, {size}, root {checkpoint.root.hex()[:16]}…"]
    lines += [f"time stamp  {_plain(found.timestamp)}"] if found.timestamp else []
    lines += [f"events      {count} {verdict}" for verdict, count in sorted(found.counts.items())]
    lines += [f"thread      {_plain(name)} {verdict}" for name, verdict in found.threads.items()]
    lines += [f"absence     {_plain(found.absence)}"] if found.absence else []
    lines += [_plain(_answer_line(found.answer))] if found.answer else []
    lines += [f"receipt     {found.receipt}"] if found.receipt else []
    lines += map(_plain, _sample_lines(found.sample)) if found.sample else []
    lines += [f"passed over {_plain(name)}, which is no file of a bundle" for name in found.passed_over[:_MOST_NAMED]]
    lines += [_plain(problem) for problem in found.problems]
    if found.problem_count > len(found.problems):
        lines.append(f"… and {found.problem_count - len(found.problems)} more")
    return [*lines, "NOT REFOLDED: all else is verified" if found.verdict == "NOT REFOLDED" else found.verdict]


def _answer_as_json(found: AnswerFound) -> dict[str, Any]:
    rows = [json.loads(canonical(row)) for row in found.rows]
    return {**found.answer._asdict(), "verdict": found.verdict, "why": found.why or None, "rows": rows}


def _answer_line(found: AnswerFound) -> str:
    rows = "1 row" if len(found.rows) == 1 else f"{len(found.rows)} rows"
    return f"answer      {found.answer.named()}: {rows} {found.verdict}{f', as {found.why}' if found.why else ''}"


def _sample_as_json(found: SampleFound) -> dict[str, Any]:
    filters = json.loads(canonical(found.sample.filters))
    said = {**found.sample._asdict(), "filters": filters, "population_verdict": found.population}
    return {**said, "verdict": found.drawn, "runs": found.runs}


def _sample_lines(found: SampleFound) -> list[str]:
    drawn = f"{len(found.runs)} of {found.sample.population} runs by the seed {found.sample.seed!r}"
    given = " (nothing here tells that these are all)" if found.population == "GIVEN" else ""
    population = f"{found.sample.population} runs as of position {found.sample.position}"
    return [f"sample      {drawn} {found.drawn}", f"population  {population} {found.population}{given}"]


def _complain(fact: str) -> None:
    with complaining():
        print(f"runfold-verify: {fact}", file=sys.stderr)  # noqa: T201


def _print(value: dict[str, Any]) -> None:
    print(json.dumps(value))  # noqa: T201


def _plain(text: str) -> str:
    """Text of a bundle as a terminal may be given it."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _policy(path: Path) -> Policy:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_POLICY + 1)
        if len(raw) > _MOST_POLICY:
            raise PolicyRefused("it is too long")
        return read_policy(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise PolicyRefused(f"{path} is not UTF-8; write it in UTF-8") from None
    except OSError as error:
        raise PolicyRefused(f"{path} ({type(error).__name__})") from None


def _receipt(path: Path) -> tuple[ToldEvent, ...]:
    try:
        with path.open("rb") as file:
            return read_receipt(file.read(MOST_BYTES + 1))
    except OSError as error:
        raise ReceiptUnreadable(f"{path} ({type(error).__name__})") from None


if __name__ == "__main__":
    sys.exit(main())
