"""What systemd wants to hear of a service (``Type=notify``, ``WatchdogSec=``).

The protocol is one datagram of ``NAME=value`` lines to the socket named in the environment: see
``sd_notify(3)``.
"""

from __future__ import annotations

import os
import socket


def notify(*messages: str) -> bool:
    """Send `messages`; False when nobody listens (not started by systemd)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in {"/", "@"}:
        return False
    if address.startswith("@"):  # the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.sendto("\n".join(messages).encode(), address)
        except OSError:  # a notification is no reason to fail
            return False
    return True


def watchdog_s() -> float | None:
    """Return how often systemd wants to hear that all is well, s; None if it does not watch."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not usec.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1e6
