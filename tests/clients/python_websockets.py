"""Python's `websockets` as a client.

usage: python_websockets.py URL [--deflate]

--deflate: the relay compresses, and does so with this client.
"""

import json
import sys
import urllib.request

from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

BASE = sys.argv[1]
DEFLATE = sys.argv[2:] == ["--deflate"]
PATIENCE_S = 20


def create(**spec):
    """Creates a channel; gives its id and the URL to connect to."""
    request = urllib.request.Request(
        BASE + "/channels", json.dumps(spec).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert answer.status == 201, answer.status
        created = json.load(answer)
    name = created["data"]["id"]
    return name, f"ws{BASE[4:]}/channels/{name}/connect?token={created['token']}"


def delete(name):
    request = urllib.request.Request(f"{BASE}/channels/{name}", method="DELETE")
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert answer.status == 200, answer.status


def expect(client, message):
    received = client.recv(timeout=PATIENCE_S)
    assert type(received) is type(message) and received == message, (received[:80], message[:80])


# The library offers permessage-deflate, as most do, and has to get along with and without.
_, url = create(pattern="echo")
with connect(url, compression="deflate") as client:
    assert bool(client.protocol.extensions) == DEFLATE, client.protocol.extensions
    for message in ["hello", "", "z\u00df\u20ac\U0001f600", b"", bytes(range(256)), "x" * 100_000, bytes(1 << 20)]:
        client.send(message)
        expect(client, message)
    # A message in fragments: one frame for each part.
    client.send(["one ", "two ", "three"])
    expect(client, "one two three")
    assert client.ping("are you there?").wait(PATIENCE_S), "a ping was not answered"

name, url = create(pattern="pub-sub")
with connect(url) as alice, connect(url) as bob:
    alice.send("to all")
    bob.send(b"\x00\xff")
    for client in alice, bob:
        received = {client.recv(timeout=PATIENCE_S), client.recv(timeout=PATIENCE_S)}
        assert received == {"to all", b"\x00\xff"}, received
    delete(name)
    for client in alice, bob:
        try:
            client.recv(timeout=PATIENCE_S)
            raise AssertionError("a message on a deleted channel")
        except ConnectionClosedError as closed:
            assert closed.rcvd.code == 4404, closed
