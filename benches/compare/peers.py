"""The servers that are compared: how each is installed, started and reached."""

import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Everything that is installed or built for the peers; ignored by git.
PEERS = HERE / ".peers"
MODULES = PEERS / "node_modules"

OURS = "ringrelay"
# The same, looking for work before it sleeps: a setting that is off by default.
OURS_SPINNING = "ringrelay-spin"
# The same on epoll, which it takes by itself where io_uring is refused.
OURS_EPOLL = "ringrelay-epoll"
NPM = {"bun": ("@oven/bun-linux-x64", "1.4.5"), "ws": ("ws", "8.23.0"), "ws-batched": ("ws", "8.23.0")}
RUST = ("tokio-tungstenite", "fastwebsockets")
# Those that give every message to everyone.
PUB_SUB = ("bun", "ws", "ws-batched", "nchan", *RUST)
# Those of them that do so with TLS, too.
WITH_TLS = ("nchan", "tokio-tungstenite")
NAMES = (OURS, OURS_EPOLL, *PUB_SUB, "nats")

SERVER_CORE = 0
GENERATOR_CORE = 1
_READY_S_MAX = 15
_NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


class Missing(Exception):
    """Something that the comparison needs cannot be had."""


def install(names):
    """Installs what the named peers need and is not there; returns the versions."""
    PEERS.mkdir(exist_ok=True)
    if platform.machine() != "x86_64" and "bun" in names:
        raise Missing("the peer bun is the npm package for x86_64; choose others with --peers")
    versions = {}
    packages = sorted({NPM[name] for name in names if name in NPM})
    if packages:
        _npm([package for package in packages if _npm_version(package[0]) != package[1]], packages)
        versions |= {name: NPM[name][1] for name in names if name in NPM}
        if any(name.startswith("ws") for name in names):
            _need("node", "Node.js")
            versions["node"] = subprocess.check_output(["node", "--version"], text=True).strip().lstrip("v")
    if "nchan" in names:
        versions["nchan"] = _nchan()
    if "nats" in names:
        versions["nats"] = _nats()
    if set(RUST) & set(names):
        manifest = HERE / "peers-rs" / "Cargo.toml"
        _say("building the tokio-tungstenite and fastwebsockets servers (cargo, in peers-rs)")
        _run(["cargo", "build", "--release", "--manifest-path", str(manifest), "--target-dir", str(PEERS / "target")])
        for line in manifest.read_text().splitlines():
            if line.startswith(RUST):
                versions[line.split()[0]] = line.split('"')[1]
    return versions


def _npm(missing, packages):
    if missing:
        _need("npm", "npm")
        wanted = [f"{package}@{version}" for package, version in packages]
        _say(f"npm install {' '.join(wanted)} (no install scripts)")
        _run(["npm", "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(PEERS), *wanted])


def _npm_version(package):
    path = MODULES / package / "package.json"
    if not path.exists():
        return None
    return next((line.split('"')[3] for line in path.read_text().splitlines() if line.strip().startswith('"version"')), None)


def _nchan():
    if not (_NCHAN_MODULE.exists() and shutil.which("nginx")):
        _need("apt-get", "apt, or nginx with nchan")
        _apt(["nginx-light", "libnginx-mod-nchan"], "an nginx on port 80")
    return _apt_version("libnginx-mod-nchan")


def _nats():
    if not shutil.which("nats-server"):
        _need("apt-get", "apt, or nats-server")
        _apt(["nats-server"], "one on port 4222")
    return _apt_version("nats-server")


def _apt(packages, started):
    _say(f"apt-get install {' '.join(packages)} (where services are started, this starts {started})")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "install", "-y", "--no-install-recommends", *packages], env=environment)


def _apt_version(package):
    version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return version.stdout or "unknown"


@dataclass
class Server:
    """A running server; it is stopped at the end of the `with` block."""

    process: subprocess.Popen
    port: int
    # Arguments of `ringrelay bench`.
    target: tuple

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(name, binary, shards=1, cores=(SERVER_CORE,), pattern="pub-sub", tls=False):
    """Starts a server, alone on its cores, and waits until it accepts connections."""
    port = _free_port()
    command = ["taskset", "-c", ",".join(map(str, cores)), *_command(name, port, binary, shards, certificate() if tls else ())]
    environment = {**os.environ, "NODE_PATH": str(MODULES)}
    log = open(PEERS / f"{name}.log", "w")
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=PEERS)
    server = Server(process, port, _target(name, port, pattern, tls))
    deadline = time.monotonic() + _READY_S_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            # Start-up work that follows the listening is not part of any measurement.
            time.sleep(0.3)
            return server
        except OSError:
            time.sleep(0.05)
    server.__exit__()
    raise Missing(f"{name} does not accept connections: {Path(log.name).read_text().strip()[-500:]}")


def certificate():
    """The paths of a certificate and its key, which are made once."""
    cert, key = PEERS / "cert.pem", PEERS / "key.pem"
    if not (cert.exists() and key.exists()):
        _need("openssl", "openssl")
        _run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
              "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
              "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", str(key), "-out", str(cert)], stderr=subprocess.DEVNULL)
    return str(cert), str(key)


def _target(name, port, pattern, tls):
    secure, more = ("s", ("--ca", certificate()[0])) if tls else ("", ())
    if name in (OURS, OURS_SPINNING, OURS_EPOLL):
        return ("--server", f"http{secure}://127.0.0.1:{port}", *more)
    if name == "nats":
        return ("--url", f"ws://127.0.0.1:{port}/{{room}}", "--dialect", "nats")
    folder = "" if pattern == "pub-sub" else f"{pattern}/"
    return ("--url", f"ws{secure}://127.0.0.1:{port}/{folder}{{room}}", *more)


def _command(name, port, binary, shards, tls):
    """`tls`: the paths of certificate and key, if it is to be spoken."""
    if name in (OURS, OURS_SPINNING, OURS_EPOLL):
        driver = "epoll" if name == OURS_EPOLL else "auto"
        spin = "50" if name == OURS_SPINNING else "0"
        return [str(binary), "serve", "--host", "127.0.0.1", "--port", str(port), "--shards", str(shards), "--spin", spin,
                "--driver", driver, "--request-rate", "0", *(("--ssl", "--ssl-cert-path", tls[0], "--ssl-key-path", tls[1]) if tls else ())]
    if name == "bun":
        return [str(MODULES / NPM["bun"][0] / "bin" / "bun"), str(HERE / "peers" / "bun.js"), str(port)]
    if name in ("ws", "ws-batched"):
        return ["node", str(HERE / "peers" / "ws.js"), str(port), name]
    if name in RUST:
        return [str(PEERS / "target" / "release" / name), str(port), *tls]
    if name == "nats":
        return ["nats-server", "-c", str(_configuration("nats.conf", PEERS / "nats", port))]
    directory = PEERS / "nchan"
    directory.mkdir(exist_ok=True)
    lines = f"ssl_certificate {tls[0]};\nssl_certificate_key {tls[1]};\n" if tls else ""
    (directory / "certificate.conf").write_text(lines)
    return ["nginx", "-p", str(directory), "-c", str(_configuration("nchan.conf", directory, port, "ssl" if tls else ""))]


def _configuration(template, directory, port, tls=""):
    """The path of the peer's configuration, with this port in it, and with TLS the word for it."""
    directory.mkdir(exist_ok=True)
    text = (HERE / "peers" / template).read_text().replace("PORT TLS", f"{port} {tls}").replace("PORT", str(port)).replace("DIRECTORY", str(directory))
    path = directory / template
    path.write_text(text)
    return path


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _need(program, what):
    if not shutil.which(program):
        raise Missing(f"{what} is needed and not installed")


def _say(what):
    print(f"installing: {what}", file=sys.stderr, flush=True)


def _run(command, **options):
    # What installers print is not part of the result.
    if subprocess.run(command, stdout=sys.stderr, **options).returncode != 0:
        raise Missing(f"this failed: {' '.join(command)}")
