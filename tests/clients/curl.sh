#!/usr/bin/env bash
# curl as a client: REST in every way that curl speaks HTTP/1.1, and the bytes of an upgraded connection.
#
# usage: curl.sh URL
set -euo pipefail
base=$1
json='Content-Type: application/json'

expect() { # WHAT WANTED GIVEN
  [ "$2" = "$3" ] || { echo "$1: wanted '$2', got '$3'" >&2; exit 1; }
}
status() {
  curl -sS -o /dev/null -w '%{http_code}' "$@"
}

expect healthz 200 "$(status "$base/healthz")"
expect create 201 "$(status -H "$json" -d '{"pattern":"echo","id":"curl-echo"}' "$base/channels")"
expect 'create again' 409 "$(status -H "$json" -d '{"pattern":"echo","id":"curl-echo"}' "$base/channels")"
expect 'create in chunks' 201 \
  "$(status -H "$json" -H 'Transfer-Encoding: chunked' -d '{"pattern":"echo","id":"curl-chunked"}' "$base/channels")"
expect 'create after 100-continue' 201 \
  "$(status -H "$json" -H 'Expect: 100-continue' -d '{"pattern":"echo","id":"curl-continue"}' "$base/channels")"
# (Over TLS curl would ask for http/1.0 by ALPN, and http/1.1 is all that is offered there.)
expect 'create in HTTP/1.0' 201 "$(status --http1.0 --no-alpn -H "$json" -d '{"pattern":"echo","id":"curl-old"}' "$base/channels")"
expect 'create from what is no JSON' 400 "$(status -H "$json" -d 'pattern=echo' "$base/channels")"
expect read 200 "$(status "$base/channels/curl-echo")"
expect head 200 "$(status -I "$base/channels/curl-echo")"
expect 'read another path' 404 "$(status "$base/elsewhere")"
expect 'wrong method' 405 "$(status -X PUT "$base/channels")"
expect 'connect without upgrade' 426 "$(status "$base/channels/curl-echo/connect")"
expect 'connect without upgrade and with a wrong token' 401 "$(status "$base/channels/curl-echo/connect?token=x")"
# Several on one connection: curl tells how many it had to make.
expect keep-alive '1 0 0 ' "$(curl -sS -w '%{num_connects} ' -o /dev/null "$base/channels" -o /dev/null "$base/healthz" -o /dev/null "$base/channels/curl-old")"
for id in curl-echo curl-chunked curl-continue curl-old; do
  expect "delete $id" 200 "$(status -X DELETE "$base/channels/$id")"
done
expect 'list nothing' '{"data":[]}' "$(curl -sS "$base/channels")"

# A listener of a pub-sub channel, whose first message is that of a second curl: its frame, as bytes.
token=$(curl -sS -H "$json" -d '{"pattern":"pub-sub","id":"curl-room"}' "$base/channels" | sed -E 's/.*"token":"([^"]*)".*/\1/')
upgrade=(-sSN --http1.1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13'
  -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' "$base/channels/curl-room/connect?token=$token")
heard=$(mktemp)
curl --max-time 20 -o "$heard" -D "$heard.head" "${upgrade[@]}" &
listener=$!
trap 'kill "$listener" 2>/dev/null || true; rm -f "$heard" "$heard.head"' EXIT
clients() {
  curl -sS "$base/channels/curl-room" | sed -E 's/.*"clients":([0-9]*).*/\1/'
}
deadline=$((SECONDS + 20))
until [ "$(clients)" = 1 ]; do
  [ "$SECONDS" -lt "$deadline" ] || { echo 'the upgraded curl is no client' >&2; exit 1; }
done
grep -q '^HTTP/1.1 101 ' "$heard.head"
grep -qi '^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=' "$heard.head"
# Deleting the channel closes it: the last frame that comes (a ping may be before it) is a close, 4404 (0x1134).
expect 'delete the room' 200 "$(status -X DELETE "$base/channels/curl-room")"
wait "$listener" || true
expect 'close frame' '88 11 34' "$(tail -c 19 "$heard" | od -An -tx1 | awk 'NR == 1 { print $1, $3, $4 }')"
