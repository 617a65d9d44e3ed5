#!/usr/bin/env python3
"""Write certbot's certificate as one file for HAProxy, and have the running gateway use it at once."""

import os
import socket
import sys
from pathlib import Path


def install(source: Path, target: Path, admin_socket: Path) -> str:
    """Install the certificate in the folder ``source``, again if it is the same; returns what was done."""
    text = (source / "fullchain.pem").read_text() + (source / "privkey.pem").read_text()
    # A blank line ends a command of the gateway.
    pem = "".join(f"{line}\n" for line in text.splitlines() if line.strip())
    new = target.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(pem)
    new.replace(target)
    for command in (f"set ssl cert {target} <<\n{pem}\n", f"commit ssl cert {target}\n"):
        answer = send(admin_socket, command)
    if "Success!" not in answer:
        raise SystemExit(
            f"{admin_socket}: expected the gateway to take {target}, it answered {answer.strip()!r}. "
            "The file is written, the gateway still uses the old one: reload it with SIGUSR2."
        )
    return f"{target}: installed, in use"


def send(admin_socket: Path, command: str) -> str:
    """Send one command to the gateway; returns its answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        try:
            connection.connect(str(admin_socket))
            connection.sendall(command.encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        except OSError as error:
            return str(error)


if __name__ == "__main__":
    certificate = Path(os.environ.get("GATEWAY_CERTIFICATE", "/certs/gateway.pem"))
    run = Path(os.environ.get("GATEWAY_RUN", "/run/gateway"))
    sys.stdout.write(install(Path(sys.argv[1]), certificate, run / "admin.sock") + "\n")
