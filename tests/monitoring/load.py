"""Load of all kinds for two relays, one of them with TLS, so that every panel of the dashboard has something to show."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
from urllib.parse import urlsplit

from client import BUFFER_LEN, PATIENCE_SECONDS, connect, frame, trusting

# What the two relays are started with beside what all tests do. A client of the second that sends more than this, or is
# silent for two pings, is closed.
PLAIN_FLAGS = ["--max-lag", "2000000", "--deflate"]
TLS_FLAGS = ["--message-rate", "200", "--ping-interval", "2000"]
FLOOD = 2000

# Publishers of the channels with slow clients: less than 2 MB a second each.
PUBLISHED_LEN, PUBLISHED_PAUSE_SECONDS = 8192, 0.004
# Their slow clients read a third of that.
READ_LEN, READ_PAUSE_SECONDS = 32768, 0.05

# One after the other: of the plain relay if not said otherwise.
BENCHES = [
    ("plain", ["--pattern", "echo", "--subscribers", "20", "--window", "4", "--duration", "9"]),
    ("plain", ["--pattern", "pub-sub", "--subscribers", "50", "--window", "16", "--size", "256", "--duration", "10"]),
    ("tls", ["--insecure", "--pattern", "echo", "--subscribers", "20", "--rate", "20", "--duration", "8"]),
    ("plain", ["--pattern", "fan-in-out", "--subscribers", "5", "--publishers", "5", "--window", "2", "--duration", "8"]),
    ("plain", ["--pattern", "pub-sub", "--subscribers", "20", "--rate", "300", "--rooms", "4", "--duration", "9"]),
]


class Load:
    """Goes on in threads until it is ended; what fails there is kept, to be told."""

    def __init__(self, plain, tls):
        self.urls = {"plain": plain, "tls": tls}
        self.ended = threading.Event()
        self.failures = []
        self.threads = []

    def start(self):
        for policy in ("disconnect", "skip"):
            url = self.create("plain", pattern="pub-sub", slowConsumers=policy, excludeSender=True)
            self.repeat(self.publish, url)
            self.repeat(self.dawdle, url)
            # Compressed messages are a log of their own.
            self.repeat(self.read_compressed, url)
        echo = self.create("tls", pattern="echo")
        self.repeat(self.send_too_much, echo)
        self.repeat(self.be_silent, echo)
        self.repeat(self.ask)
        self.repeat(self.be_refused)
        self.repeat(self.shake_hands)

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(3 * PATIENCE_SECONDS)
            if thread.is_alive():
                self.failures.append(f"{thread.name} does not end")
        return self.failures

    def repeat(self, work, *arguments):
        def run():
            while not self.ended.is_set():
                try:
                    work(*arguments)
                except Exception as error:
                    # The relay may close these clients whenever it likes, and no more than that.
                    if not isinstance(error, (ConnectionError, ssl.SSLError)):
                        self.failures.append(f"{work.__name__}: {error!r}")
                        return
                self.ended.wait(0.2)

        thread = threading.Thread(target=run, name=work.__name__, daemon=True)
        thread.start()
        self.threads.append(thread)

    def connection(self, relay):
        address = urlsplit(self.urls[relay]).netloc
        if relay == "tls":
            return http.client.HTTPSConnection(address, timeout=PATIENCE_SECONDS, context=trusting())
        return http.client.HTTPConnection(address, timeout=PATIENCE_SECONDS)

    def request(self, relay, method, path, body=None, headers={}):
        connection = self.connection(relay)
        try:
            body = None if body is None else json.dumps(body)
            connection.request(method, path, body, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def create(self, relay, **channel):
        status, said = self.request(relay, "POST", "/channels", channel)
        if status != 201:
            raise RuntimeError(f"no channel: {status} {said!r}")
        made = json.loads(said)
        return f"ws{self.urls[relay][4:]}/channels/{made['data']['id']}/connect?token={made['token']}"

    def publish(self, url):
        message = frame((b"what is said again and again can be compressed " * 200)[:PUBLISHED_LEN])
        with connect(url) as connection:
            while not self.ended.wait(PUBLISHED_PAUSE_SECONDS):
                connection.sendall(message)

    def dawdle(self, url):
        with connect(url, buffer_len=BUFFER_LEN) as connection:
            self.read(connection, READ_PAUSE_SECONDS)

    def read_compressed(self, url):
        with connect(url, deflate=True) as connection:
            self.read(connection)

    def send_too_much(self, url):
        with connect(url) as connection:
            connection.sendall(frame(b"x") * FLOOD)
            self.read(connection)

    def be_silent(self, url):
        with connect(url) as connection:
            self.read(connection)

    def read(self, connection, pause_seconds=0):
        """Until the relay closes, or all ends."""
        connection.settimeout(1)
        while not self.ended.wait(pause_seconds):
            try:
                if not connection.recv(READ_LEN):
                    return
            except TimeoutError:
                pass

    def ask(self):
        status, said = self.request("plain", "POST", "/channels", {"pattern": "push-pull"})
        path = f"/channels/{json.loads(said)['data']['id']}" if status == 201 else "/channels"
        for method, path in [("GET", path), ("GET", "/channels"), ("GET", "/readyz"), ("DELETE", path), ("GET", path)]:
            self.request("plain", method, path)

    def be_refused(self):
        self.request("plain", "PATCH", "/channels")
        self.request("plain", "POST", "/channels", {"pattern": "none"})
        self.request("plain", "GET", "/admin/top", headers={"Host": "relay.example"})
        self.request("plain", "GET", "/" + "x" * 20_000)

    def shake_hands(self):
        context = trusting()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        address = urlsplit(self.urls["tls"])
        session = None
        # The second takes up the session of the first.
        for _ in range(2):
            with socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS) as plain:
                with context.wrap_socket(plain, session=session) as connection:
                    session = connection.session
        # A handshake of nonsense, and none at all.
        for begin in (b"\x16\x03\x01\x00\x05hello", b"hello"):
            with socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS) as plain:
                plain.sendall(begin + b"\r\n\r\n")
                plain.recv(1024)


def reload(process, certificate):
    """Has the relay read a certificate anew that is good, and then one that is not."""
    good = certificate.read_bytes()
    for content in (good, b"no certificate"):
        certificate.write_bytes(content)
        os.kill(process.pid, signal.SIGHUP)
        yield
    certificate.write_bytes(good)


def bench(relay, url, flags):
    command = ["nice", "-n", "10", relay, "bench", "--server", url, *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return [] if done.returncode == 0 else [f"{' '.join(command)}: {done.stderr}"]
