#!/usr/bin/env bash
# websocat as a client, with the channels made by curl.
#
# usage: websocat.sh URL [WEBSOCAT]
set -euo pipefail
base=$1
websocat=${2:-websocat}
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT

expect() { # WHAT WANTED GIVEN
  [ "$2" = "$3" ] || { echo "$1: wanted '$2', got '$3'" >&2; exit 1; }
}
create() { # ID PATTERN
  local token
  token=$(curl -fsS -H 'Content-Type: application/json' -d "{\"pattern\":\"$2\",\"id\":\"$1\"}" "$base/channels" |
    sed -E 's/.*"token":"([^"]*)".*/\1/')
  echo "ws${base#http}/channels/$1/connect?token=$token"
}
await_clients() { # ID COUNT
  local deadline=$((SECONDS + 20))
  until curl -fsS "$base/channels/$1" | grep -q "\"clients\":$2[,}]"; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "$1 did not come to $2 clients" >&2; exit 1; }
    sleep 0.02
  done
}

echo_url=$(create websocat-echo echo)
# One message there and one back, as text and as binary.
expect 'echo of text' 'hello, zß€' "$(echo 'hello, zß€' | timeout 20 "$websocat" -n -1 "$echo_url")"
head -c 60000 /dev/urandom >"$here/sent"
timeout 20 "$websocat" -b -n -1 -B 65536 "$echo_url" <"$here/sent" >"$here/back"
cmp "$here/sent" "$here/back"

# Two that listen and one that speaks, a message a line.
room_url=$(create websocat-room pub-sub)
for listener in 1 2; do
  timeout 30 "$websocat" -n "$room_url" </dev/null >"$here/heard-$listener" &
done
await_clients websocat-room 2
seq 1000 >"$here/said"
timeout 20 "$websocat" -n "$room_url" <"$here/said" >"$here/own" &
speaker=$!
deadline=$((SECONDS + 20))
for heard in heard-1 heard-2 own; do
  until cmp -s "$here/said" "$here/$heard"; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "$heard is not what was said: $(wc -l <"$here/$heard") of 1000" >&2; exit 1; }
    sleep 0.05
  done
done
# The end of the channel is the end of all three.
curl -fsS -X DELETE "$base/channels/websocat-room" >"$here/deleted"
wait "$speaker" || true
wait
