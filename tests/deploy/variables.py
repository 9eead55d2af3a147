"""Prints the variables RINGRELAY_… that a Dockerfile, a compose file or a ConfigMap sets, a line for each: NAME=value."""

import re
import sys
from pathlib import Path

import yaml

path = Path(sys.argv[1])
text = path.read_text()
if path.name == "Dockerfile":
    found = dict(re.findall(r"\b(RINGRELAY_\w+)=(\S+)", text))
else:
    document = yaml.safe_load(text)
    found = document["data"] if "data" in document else document["services"]["ringrelay"]["environment"]
for name, value in found.items():
    assert isinstance(value, str), f"{name} is not in quotes"
    print(f"{name}={value}")
