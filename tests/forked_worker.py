"""Stands where xdist starts a Python: `forked_worker.py SOCKET -u -c CODE` runs CODE in a fork of the preloader on SOCKET.

The fork has this process's files, folder and environment. This process waits for its end and passes its exit code on. It
imports little: it is started once for each process of a test run.
"""

import json
import os
import select
import socket
import sys
from pathlib import Path

path, *arguments = sys.argv[1:]
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as wire:
    wire.connect(path)
    asked = {
        "arguments": [one for one in arguments if one not in ("-u", "-B")],
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
        "session": False,
    }
    socket.send_fds(wire, [json.dumps(asked).encode()], (0, 1, 2))
    pid = json.loads(wire.recv(4096))["pid"]
    for descriptor in (0, 1, 2):
        os.close(descriptor)  # else the other end of these pipes would not see the fork's end
    select.select([os.pidfd_open(pid)], [], [])
    wire.sendall(json.dumps({"exit": pid}).encode())
    code = json.loads(wire.recv(4096))["code"]
os._exit(code if code >= 0 else 128 - code)
