# To be sourced by the scripts here: the relay as a child of the script, and what all of them print.
# Set RINGRELAY to test another binary than the one that `cargo test` builds.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
# What the tests install for themselves; removed with the build.
tools=$target/test-tools
relay=${RINGRELAY:-$target/debug/ringrelay}

# One line per test, as cargo prints them, so that parts can be counted together.
verdict() { # NAME ok|FAILED [WHY]
  printf 'test %s ... %s\n' "$1" "$2${3:+ ($3)}"
}

complain() {
  printf '%s: %s\n' "${0#"$root"/}" "$*" >&2
}

# Starts the relay on a free port with these flags; sets relay_url (http://127.0.0.1:PORT, or https).
start_relay() {
  [ -x "$relay" ] || { complain "there is no $relay; build it with: cargo build"; return 1; }
  relay_log=$(mktemp -d)
  "$relay" serve --host 127.0.0.1 --port 0 --shards 2 --drain 1 --request-rate 0 "$@" >"$relay_log/stdout" 2>"$relay_log/stderr" &
  relay_pid=$!
  trap stop_relay EXIT
  local deadline=$((SECONDS + 30))
  until relay_url=$(grep -oEm1 'https?://[0-9.:]+' "$relay_log/stdout"); do
    if ! kill -0 "$relay_pid" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
      complain "the relay did not start"
      cat "$relay_log/stdout" "$relay_log/stderr" >&2
      return 1
    fi
    sleep 0.05
  done
}

# Ends it, which has to succeed: status 0, and no thread panicked.
stop_relay() {
  trap - EXIT
  kill -TERM "$relay_pid" 2>/dev/null
  wait "$relay_pid"
  local status=$?
  if [ "$status" -ne 0 ] || grep -q panicked "$relay_log/stderr"; then
    complain "the relay ended with status $status"
    cat "$relay_log/stderr" >&2
    status=1
  fi
  rm -rf "$relay_log"
  return "$status"
}

# Creates a channel by curl; prints the URL for WebSocket clients.
create_channel() { # PATTERN
  local answer id token
  # Over TLS the certificate is one that nobody knows.
  answer=$(curl -fsSk -H 'Content-Type: application/json' -d "{\"pattern\":\"$1\"}" "$relay_url/channels") || return 1
  id=$(printf '%s' "$answer" | sed -E 's/.*"id":"([^"]*)".*/\1/')
  token=$(printf '%s' "$answer" | sed -E 's/.*"token":"([^"]*)".*/\1/')
  printf 'ws%s/channels/%s/connect?token=%s\n' "${relay_url#http}" "$id" "$token"
}
