#!/usr/bin/env bash
# The examples of README.md, as they stand there, but for the relay's address.
#
# usage: readme.sh URL WEBSOCAT
set -euo pipefail
base=$1 websocat=$2
readme=$(dirname "$0")/../../README.md
here=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$here"' EXIT

# The block of a language that holds a word.
example() { # LANGUAGE WORD
  awk -v fence="\`\`\`$1" -v word="$2" '
    $0 == "```" { if (inside && index(block, word)) printf "%s", block; inside = 0 }
    inside { block = block $0 "\n" }
    $0 == fence { inside = 1; block = "" }' "$readme" | sed "s|127.0.0.1:8080|${base#http://}|g"
}
await_line() { # LINE FILE
  local deadline=$((SECONDS + 20))
  until grep -qx "$1" "$2"; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "'$1' did not come:" >&2; cat "$2" >&2; exit 1; }
    sleep 0.05
  done
}

example js WebSocket >"$here/example.mjs"
# Before version 22 the client that the example uses is behind a flag.
timeout 30 node --experimental-websocket "$here/example.mjs" >"$here/javascript" 2>&1 &
await_line 'hello, everyone' "$here/javascript"

# What the two browsers need.
example sh '"id":"lobby"' >"$here/lobby.sh"
bash "$here/lobby.sh" | grep -q '"token":"[0-9a-f]\{32\}".*"id":"lobby"' || { echo 'no lobby with a token' >&2; exit 1; }

mkdir "$here/bin"
ln -s "$websocat" "$here/bin/websocat"
example sh websocat >"$here/example.sh"
(echo 'hello from the shell'; sleep 30) | PATH=$here/bin:$PATH timeout 30 bash "$here/example.sh" >"$here/shell" 2>&1 &
await_line 'hello from the shell' "$here/shell"
