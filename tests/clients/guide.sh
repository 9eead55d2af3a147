#!/usr/bin/env bash
# The code samples of docs/guide.md, as they stand there, but for the relay's address and for what a reader fills in.
#
# usage: guide.sh URL WEBSOCAT PYTHON             all but those about authentication
#        guide.sh --authentication URL            those, with a relay whose API token is TOKEN and that guards everything
#        guide.sh --jwt URL SECRET                that about JSON Web Tokens, with a relay that has this secret
set -euo pipefail
guide=$(dirname "$0")/../../docs/guide.md
here=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$here"' EXIT
# Before version 22 the client that the samples use is behind a flag.
node() { command timeout 30 node --experimental-websocket --no-warnings "$@"; }

# The one block of a language that holds a word.
sample() { # LANGUAGE WORD
  awk -v fence="\`\`\`$1" -v word="$2" '
    $0 == "```" { if (inside && index(block, word)) { found += 1; printf "%s", block } inside = 0 }
    inside { block = block $0 "\n" }
    $0 == fence { inside = 1; block = "" }
    END { if (found != 1) { print found + 0 " samples in " fence " hold " word >"/dev/stderr"; exit 1 } }' "$guide" |
    sed "s|127.0.0.1:8080|${base#http://}|g"
}
await_line() { # LINE FILE
  local deadline=$((SECONDS + 20))
  until grep -qx "$1" "$2"; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "'$1' did not come:" >&2; cat "$2" >&2; exit 1; }
    sleep 0.05
  done
}
expect() { # PATTERN GIVEN
  grep -qE "$1" <<<"$2" || { echo "wanted '$1', got: $2" >&2; exit 1; }
}
token_of() { sed -E 's/.*"token":"([^"]*)".*/\1/'; }
create() { # BODY
  curl -fsS "$base/channels" -H 'Content-Type: application/json' -d "$1"
}

authentication() {
  local said token
  # Its two creations have no id; the relay's API token is TOKEN, as in the samples.
  said=$(bash -e <(sample sh 'Authorization: Bearer') 2>/dev/null)
  [ "$(grep -o '"token":"' <<<"$said" | wc -l)" -eq 2 ] || { echo "the API token was refused: $said" >&2; exit 1; }
  expect 'Success deleting' "$said"
  token=$(curl -fsS "$base/channels?auth=TOKEN" -H 'Content-Type: application/json' -d '{"pattern":"echo","id":"lobby"}' | token_of)
  {
    echo "const [token, auth] = ['$token', 'TOKEN'];"
    sample js 'encodeURIComponent(auth)'
    echo "socket.onopen = () => { console.log('open'); socket.close(); };"
  } >"$here/guarded.mjs"
  expect '^open$' "$(node "$here/guarded.mjs")"
}

jwt() { # SECRET
  create '{"pattern":"echo","id":"lobby"}' >"$here/created"
  {
    echo "const secret = '$1';"
    sample js 'createHmac'
    echo "socket.onopen = () => socket.send('by a token');"
    echo "socket.onmessage = ({ data }) => { console.log(data); socket.close(); };"
  } >"$here/jwt.mjs"
  expect '^by a token$' "$(node "$here/jwt.mjs")"
}

# Every sample is run here: who adds one adds its test.
[ "$(grep -cE '^```(js|python|sh)$' "$guide")" -eq 11 ] || { echo 'the guide has other samples than this test' >&2; exit 1; }

if [ "$1" = --authentication ]; then
  base=$2
  authentication
  exit
fi
if [ "$1" = --jwt ]; then
  base=$2
  jwt "$3"
  exit
fi
base=$1 websocat=$2 python=$3
# A reader's relay is new: no id of the samples is taken.
curl -fsS -X DELETE "$base/reset" >"$here/reset"

# Quick start.
sample js 'const made' >"$here/quick.mjs"
node "$here/quick.mjs" >"$here/javascript" 2>&1 &
await_line 'hello, everyone' "$here/javascript"
sample python 'websockets.sync' >"$here/quick.py"
expect '^hello, everyone$' "$(timeout 30 "$python" "$here/quick.py")"
sample sh websocat >"$here/quick.sh"
token=$(bash -e <(sed '$d' "$here/quick.sh") | token_of)
mkdir "$here/bin"
ln -s "$websocat" "$here/bin/websocat"
(echo 'hello from the shell'; sleep 30) | PATH=$here/bin:$PATH timeout 30 bash <(tail -n 1 "$here/quick.sh" | sed "s/TOKEN/$token/") >"$here/shell" 2>&1 &
await_line 'hello from the shell' "$here/shell"

# req-repl: who asks gets the answer of who answers.
url="ws${base#http}/channels/guide-asks/connect?token=$(create '{"pattern":"req-repl","id":"guide-asks"}' | token_of)"
{
  echo "const [asks, answers] = ['$url', '$url'].map((url) => new WebSocket(url));"
  echo 'await Promise.all([asks, answers].map((socket) => new Promise((resolve) => { socket.onopen = resolve; })));'
  echo 'asks.onmessage = ({ data }) => { console.log(JSON.parse(data).answer); process.exit(); };'
  # Each half has a `socket` of its own.
  sample js 'The one who asks' | awk '
    /^\/\/ The one who asks/ { half = "asks"; next }
    /^\/\/ The one who answers/ { half = "answers"; next }
    { text[half] = text[half] $0 "\n" }
    END { for (i = split("answers asks", order, " "); n++ < i;) printf "{ const socket = %s;\n%s}\n", order[n], text[order[n]] }'
} >"$here/asks.mjs"
expect '^yes$' "$(node "$here/asks.mjs")"

# REST.
expect '"timeout":200,"countdown":(200|19[0-9]),"clientLimit":2,' "$(bash -e <(sample sh 'curl -i') 2>/dev/null)"
create '{"pattern":"echo","id":"D679-05F5"}' >"$here/created"
(echo "const relay = '$base';"; sample js 'const all') >"$here/look.mjs"
said=$(node "$here/look.mjs")
expect '^0 86[0-9]{6}$' "$said"
expect "'D679-05F5'" "$said"
sample python 'method="DELETE"' >"$here/delete.py"
expect 'Success deleting channel D679-05F5' "$(timeout 30 "$python" "$here/delete.py")"
create '{"pattern":"echo","id":"D679-05F5"}' >"$here/created"
expect 'Success deleting channel D679-05F5.*Success deleting' "$(bash -e <(sample sh 'curl -X DELETE http') 2>/dev/null | tr '\n' ' ')"
