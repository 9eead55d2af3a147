"""WebSocket clients that no library would be: they read late, or not at all, and answer nothing."""

import socket
import ssl
import struct
from urllib.parse import urlsplit

# Kept this small, what is not read soon waits in the relay.
BUFFER_LEN = 65536
PATIENCE_SECONDS = 10


def trusting():
    """Takes any certificate, as that of the relay is made for one run."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(url, deflate=False, buffer_len=None):
    """Connects to a channel; returns the socket behind the answer to the upgrade."""
    parts = urlsplit(url)
    plain = socket.socket()
    plain.settimeout(PATIENCE_SECONDS)
    if buffer_len is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_len)
    plain.connect((parts.hostname, parts.port))
    connection = trusting().wrap_socket(plain) if parts.scheme == "wss" else plain
    extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else ""
    connection.sendall(
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"{extension}\r\n".encode()
    )
    head = b""
    # Byte by byte: what follows is for who reads on.
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            break
        head += byte
    if b" 101 " not in head or deflate != (b"permessage-deflate" in head):
        connection.close()
        raise ConnectionError(f"no upgrade: {head!r}")
    return connection


def frame(payload):
    """A text message, masked with noughts."""
    if len(payload) < 126:
        return struct.pack("!BB4x", 0x81, 0x80 | len(payload)) + payload
    return struct.pack("!BBH4x", 0x81, 0x80 | 126, len(payload)) + payload
