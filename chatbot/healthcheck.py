"""``python -S -m chatbot.healthcheck``: 0 when the app on this machine answers /healthz with 200, else 1.

The container's health check, run every few seconds beside the app on a fraction of a processor: a bare socket, because
importing urllib alone costs more than all of this.
"""

import os
import socket
import sys

SECONDS = 14.0  # less than the health check's own time-out, so that the message arrives


def main() -> int:
    """0 or 1, as Docker and ECS want it; the reason on standard output, where both keep it."""
    port = int(os.environ.get("PORT", "7860"))
    try:
        with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
            connection.settimeout(SECONDS)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            status = connection.recv(64).partition(b"\r\n")[0].decode("latin-1")
    except OSError as error:
        status = f"no answer on port {port}: {error}"
    print(status)
    return 0 if status.startswith("HTTP/1.") and status[8:13] == " 200 " else 1


if __name__ == "__main__":
    sys.exit(main())
