"""A network namespace of our own, in which TCP uses cubic.

A host whose default is bbr paces its loopback connections: lower and unsteady figures, for every server alike.
"""

import os
import subprocess
import sys

_MARK = "COMPARE_NAMESPACE"


def enter():
    """Starts this program again inside a namespace; returns, inside it or not, with a description of the network."""
    if _MARK in os.environ:
        return _use_cubic()
    for flags in (["-n"], ["-rn"]):
        if subprocess.run(["unshare", *flags, "true"], capture_output=True).returncode == 0:
            # What was installed and built before is found again, without a network.
            os.environ |= {_MARK: "1", "CARGO_NET_OFFLINE": "true"}
            os.execvp("unshare", ["unshare", *flags, sys.executable, *sys.argv])
    print("no network namespace is permitted here: measuring on the host's loopback", file=sys.stderr)
    return of_host()


def of_host():
    """The network as it is, described."""
    return f"the host's loopback ({_default_control()})"


def _use_cubic():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for prefix in ("127.0.0.0/8", "127.0.0.1"):
        route = f"ip route change local {prefix} dev lo proto kernel scope host src 127.0.0.1 table local congctl cubic"
        if subprocess.run(route.split(), capture_output=True).returncode != 0:
            return f"loopback in a namespace of its own ({_default_control()}): cubic could not be set"
    return "loopback in a namespace of its own, cubic"


def _default_control():
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as file:
        return file.read().strip()
