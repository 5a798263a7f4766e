"""The socket that a server listens at."""

import socket

from runfold.http.server import listening


def test_what_is_accepted_sends_at_once_whichever_loop_accepts_it() -> None:
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()[:2]):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
