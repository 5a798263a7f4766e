"""`runfold`, loaded once for all pages: each call is carried out by a fork of a process that has loaded what calls load.

To load it takes a call five times as long as what it is asked. A call has its own arguments, environment, folder, input and
output, is ended by the signals that it is sent, and ends with its own exit code. That a call loads by itself what it needs is
shown in `tests/cli/test_loading.py`.
"""

import contextlib
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MODULES = (
    *("cryptography.x509", "genai_prices", "rich.table", "runfold.cli.main", "runfold.evidence.bundles.making", "runfold.ledger"),
    *("runfold.projector.worker", "runfold.queries.reading", "runfold.terminal.console"),
)
CALL = """\
#!{python} -IS
import _signal, _socket, os, struct, sys
asked = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
asked.connect({place!r})
told = [str(len(sys.argv) - 1), *sys.argv[1:], os.getcwd(), *(f"{{name}}={{value}}" for name, value in os.environ.items())]
text = "\\0".join(told).encode(errors="surrogateescape")
asked.sendmsg([struct.pack("I", len(text))], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("3i", 0, 1, 2))])
asked.sendall(text)
process = int(asked.recv(20))
for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
    _signal.signal(number, lambda number, _: os.kill(process, number))
code = int(asked.recv(20) or 1)
if code < 0:
    _signal.signal(-code, _signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""
"""The program that the shell finds. It starts in a fiftieth of a second, and does nothing but hand over what it was given."""


@contextlib.contextmanager
def loaded_program(folder: Path) -> Iterator[Path]:
    """A folder with the program, as long as its process is there."""
    place = str(folder / "socket")
    program = folder / "runfold"
    program.write_text(CALL.format(python=sys.executable, place=place))
    program.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        words = [sys.executable, str(Path(__file__)), str(listening.fileno())]
        process = subprocess.Popen(words, pass_fds=[listening.fileno()], start_new_session=True)
        try:
            yield folder
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def main() -> None:
    """Fork for each call, until killed. What comes back from here is a fork that is to carry out a call."""
    for module in MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for who sees a call through
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        while True:
            asking, _ = listening.accept()
            with asking:
                if not os.fork() and see_through(asking):
                    listening.close()
                    return


def see_through(asking: socket.socket) -> bool:
    """In a fork of its own: take a call, start it, and say how it ended. True in the process that is to carry it out."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, streams, _, _ = socket.recv_fds(asking, 4, 3)
    text = b""
    while len(text) < int.from_bytes(head, sys.byteorder):
        text += asking.recv(65536)
    if not (process := os.fork()):
        become(os.fsdecode(text).split("\0"), streams)
        return True
    for stream in streams:
        os.close(stream)
    asking.sendall(b"%d" % process)
    _, status = os.waitpid(process, 0)
    asking.sendall(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def become(told: list[str], streams: list[int]) -> None:
    """Have the arguments, the folder, the environment, the input and the output of a call."""
    count = int(told[0])
    sys.argv = ["runfold", *told[1 : count + 1]]
    os.chdir(told[count + 1])
    os.environ.clear()
    os.environ.update(pair.split("=", maxsplit=1) for pair in told[count + 2 :])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)


if __name__ == "__main__":
    main()
    from runfold.cli.main import main as call

    sys.exit(call())
