"""Machines of their own in one computer: network namespaces, joined by a bridge, of which each can be cut off.

Linux only, and as root. `apart` starts a program whose network, mounts and processes are all its own: whatever it makes is gone
with it, and no address of it exists outside.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

#: Runs a program in namespaces of its own; the kernel ends all its processes with it.
APART: Final = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--")
#: Where the servers listen. The network exists only inside the program's own namespace.
SERVERS: Final = "10.203.0.1"
_NETWORK: Final = "10.203.0"
_NAMES: Final = Path("/run/netns")


def refusal() -> str:
    """Why this computer lets no program have namespaces of its own; "" where it does."""
    for command in ([*APART, "true"], ["ip", "-V"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        except FileNotFoundError:
            return f"{command[0]} is not installed"
        if done.returncode:
            return done.stderr.strip() or f"{command[0]} ended with {done.returncode}"
    return ""


class Machines:
    """The other machines, by their names; this process is the machine of the servers. Only inside of `APART`."""

    def __init__(self, *names: str) -> None:
        _NAMES.mkdir(parents=True, exist_ok=True)
        # The names of the namespaces stand in this program's mounts alone.
        _run("mount", "-t", "tmpfs", "tmpfs", f"{_NAMES}")
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", "machines", "type", "bridge")
        _run("ip", "address", "add", f"{SERVERS}/24", "dev", "machines")
        _run("ip", "link", "set", "machines", "up")
        for number, name in enumerate(names, 2):
            _run("ip", "netns", "add", name)
            _run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            _run("ip", "link", "set", name, "master", "machines", "up")
            _run("ip", "-n", name, "link", "set", "lo", "up")
            _run("ip", "-n", name, "address", "add", f"{_NETWORK}.{number}/24", "dev", "eth0")
            _run("ip", "-n", name, "link", "set", "eth0", "up")

    @staticmethod
    def on(name: str) -> tuple[str, ...]:
        """The words before a command that is to run on this machine."""
        return "ip", "netns", "exec", name

    @staticmethod
    def cut_off(name: str) -> None:
        """As a switch that fails: the link stays up, packets are lost, no connection is closed, each side goes on sending."""
        _run("bridge", "link", "set", "dev", name, "state", "0")

    @staticmethod
    def join(name: str) -> None:
        """Ends `cut_off`."""
        _run("bridge", "link", "set", "dev", name, "state", "3")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
