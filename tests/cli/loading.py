"""What commands load: each is called in a process of its own that has loaded no more than what opens a ledger.

It is run as a program, with commands as lines of JSON on stdin, and answers each with a line: the modules that it loaded.
"""

import contextlib
import io
import json
import os
import sys
import traceback

STEPS = (("runfold.cli.main", "runfold.cli.app"), ("runfold.ledger",))
"""What is loaded first, and then: before any command is known, and by each that opens the ledger."""


def loaded(words: list[str]) -> str:
    """Return as JSON how a command ended, and the modules that it loaded beyond what was there."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        before, said = set(sys.modules), io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = sys.modules["runfold.cli.main"].main(words)
            answer = {"code": code, "said": said.getvalue()[-2000:], "modules": sorted(set(sys.modules) - before)}
        except BaseException:
            answer = {"code": -1, "said": traceback.format_exc(), "modules": []}
        with os.fdopen(writing, "w") as file:
            json.dump(answer, file)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        answer = file.read()
    os.waitpid(child, 0)
    return answer


def main() -> None:
    """Answer until stdin ends."""
    for step in STEPS:
        before = set(sys.modules)
        for name in step:
            __import__(name)
        _say(json.dumps({"code": 0, "said": "", "modules": sorted(set(sys.modules) - before)}))
    for line in sys.stdin:
        _say(loaded(json.loads(line)))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
