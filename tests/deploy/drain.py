"""Whoever ends the relay waits for longer than the relay gives its clients, and for the ten seconds that it takes at most after that."""

import sys
from pathlib import Path

import yaml

CLOSE_S = 10

deploy = Path(sys.argv[1])
service = yaml.safe_load((deploy / "compose.yaml").read_text())["services"]["ringrelay"]
pod = yaml.safe_load((deploy / "kubernetes/deployment.yaml").read_text())["spec"]["template"]["spec"]
settings = yaml.safe_load((deploy / "kubernetes/configmap.yaml").read_text())["data"]
pairs = {
    "compose.yaml": (service["environment"]["RINGRELAY_DRAIN"], service["stop_grace_period"].removesuffix("s")),
    "kubernetes": (settings["RINGRELAY_DRAIN"], pod["terminationGracePeriodSeconds"]),
}
wrong = [f"{where}: {drain} s and {grace} s" for where, (drain, grace) in pairs.items() if int(grace) < int(drain) + CLOSE_S]
if wrong:
    sys.exit("\n".join(wrong))
