# What the scripts that start servers for tests share; they are sourced with $dir
# (where everything is put) and $url set.

fail() { echo "${0##*/}: $*" >&2; exit 1; }

running() { [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

# need fails where a tool is missing.
need() {
  for tool; do
    command -v "$tool" >/dev/null || fail "$tool is missing"
  done
}

# answers waits until the server answers at a path, and prints its address.
answers() {
  for _ in $(seq "$2"); do
    if curl -fsS "$url$1" >/dev/null 2>&1; then
      echo "$url"
      return
    fi
    running || { tail -n 30 "$dir/log" >&2; fail "the server died"; }
    sleep 0.5
  done
  fail "the server does not answer; see $dir/log"
}

# end stops the server and waits up to half as many seconds for it as the
# argument says.
end() {
  if running; then
    local pid
    pid=$(cat "$dir/pid")
    kill "$pid"
    for _ in $(seq "$1"); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.5
    done
    if kill -0 "$pid" 2>/dev/null; then
      kill -9 "$pid"
    fi
  fi
}
