"""Draws the dashboard from what a real Prometheus says of two relays under load; fails if a panel has nothing to show.

    draw.py RELAY DASHBOARD PICTURE
"""

import contextlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import dashboard
import picture
from load import BENCHES, PLAIN_FLAGS, TLS_FLAGS, Load, bench, reload

# Since Linux 6.2.
MAY_BE_EMPTY = ["process_open_fds"]
# What this load does not bring about: a lack of memory, files, buffers or room for completions.
MAY_BE_ZERO = [
    "ringrelay_clients_cut_for_memory_total",
    "ringrelay_histories_cut_for_memory_total",
    "ringrelay_accept_pauses_total",
    "ringrelay_receive_buffers_exhausted_total",
    "ringrelay_completion_queue_overflows_total",
]
PATIENCE_SECONDS = 30


def eventually(what, attempt):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := attempt()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"within {PATIENCE_SECONDS} s it did not happen: {what}")
        time.sleep(0.05)
    return answer


@contextlib.contextmanager
def running(command, says, folder):
    """A process, once its output has `says` in it, and what matched."""
    output = pathlib.Path(folder, f"{len(list(folder.iterdir()))}.log")
    with output.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)

    def has_said():
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} has ended:\n{output.read_text()}")
        return re.search(says, output.read_text())

    try:
        yield process, eventually(f"{command[0]} starts", has_said)
        process.terminate()
        status = process.wait(PATIENCE_SECONDS)
        if status != 0 or "panicked" in output.read_text():
            raise RuntimeError(f"{command[0]} ended with {status}:\n{output.read_text()}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def certificate(folder):
    files = [folder / "cert.pem", folder / "key.pem"]
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost"
    named = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout", files[1]]
    subprocess.run([*command.split(), *named], check=True, capture_output=True)
    return files


def configuration(plain, tls):
    """Of Prometheus. JSON is YAML."""

    def job(name, url):
        scheme, address = url.split("://")
        target = {"targets": [address], "labels": {"instance": name}}
        return {
            "job_name": name,
            "scheme": scheme,
            "tls_config": {"insecure_skip_verify": True},
            "static_configs": [target],
        }

    return json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job("plain", plain), job("tls", tls)]})


def has_seen(prometheus, moment):
    """Whether Prometheus has scraped both relays since."""
    asked = urllib.parse.urlencode({"query": "timestamp(ringrelay_build_info)"})
    try:
        with urllib.request.urlopen(f"{prometheus}/api/v1/query?{asked}") as response:
            found = json.load(response)["data"]["result"]
    except urllib.error.URLError:
        return False
    return len(found) == 2 and all(float(series["value"][1]) > moment for series in found)


def main(relay, source, target):
    panels = dashboard.read(source)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as processes:
        folder = pathlib.Path(folder)
        serve = [relay, "serve", "--host", "127.0.0.1", "--port", "0", "--shards", "2", "--drain", "1", "--request-rate", "0"]
        cert, key = certificate(folder)
        with_tls = [*TLS_FLAGS, "--ssl", "--ssl-cert-path", cert, "--ssl-key-path", key]
        url = r"listens on (https?://[0-9.:]+)"
        _, plain = processes.enter_context(running([*serve, *PLAIN_FLAGS], url, folder))
        process, tls = processes.enter_context(running([*serve, *with_tls], url, folder))
        urls = {"plain": plain[1], "tls": tls[1]}
        settings = folder / "prometheus.yml"
        settings.write_text(configuration(**urls))
        command = ["prometheus", f"--config.file={settings}", f"--storage.tsdb.path={folder / 'data'}"]
        command += ["--web.listen-address=127.0.0.1:0"]
        _, listens = processes.enter_context(running(command, r'Listening on"? address="?(127\.0\.0\.1:[0-9]+)', folder))
        prometheus = f"http://{listens[1]}"
        eventually("both relays are scraped", lambda: has_seen(prometheus, 0))

        # Of whole seconds, as all that is asked for.
        start = int(time.time())
        load = Load(**urls)
        load.start()
        reloads = reload(process, cert)
        complaints = []
        for name, flags in BENCHES:
            complaints += bench(relay, urls[name], flags)
            next(reloads, None)
        complaints += load.end()
        end = int(time.time())
        # What ends is to be seen too.
        eventually("the end is scraped", lambda: has_seen(prometheus, end + 2))
        end += 2

        complaints += dashboard.ask(prometheus, panels, start, end)
        complaints += dashboard.judge(panels, MAY_BE_EMPTY, MAY_BE_ZERO)
        target = pathlib.Path(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.draw(panels, start, target)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    queries = sum(len(panel.queries) for panel in panels)
    count = sum(panel.unit is not None for panel in panels)
    print(f"{count} panels, {queries} queries, {end - start:.0f} s of load: {target}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
