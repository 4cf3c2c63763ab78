#!/usr/bin/env bash
# Starts a server with a key and sends it what schemathesis makes of the OpenAPI
# file: no answer may be a failure, and every status, content type, header and body
# must be one that the file describes.
#   api/schemathesis/run.sh NEEDLE [SECONDS]
# SCHEMATHESIS names the program, SEED another run.
set -euo pipefail
needle=$(realpath "$1")
seconds=${2:-45}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
server=
# A server that is ending still writes.
trap '[ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server"; } || true; rm -rf "$work"' EXIT
"$needle" keys create --name contract --role admin --all-groups --json --data "$work/data" >"$work/key"
key=$(sed -n 's/.*"\(needle_[a-z0-9_]*\)".*/\1/p' "$work/key")
printf '{"id":"a","text":"The boiler in Brno is inspected by Jana Dvorakova.","metadata":{"year":2024,"site":"brno"}}\n' >"$work/a.jsonl"
"$needle" index add "$work/a.jsonl" --data "$work/data" >/dev/null 2>&1
port=${PORT:-18093}
"$needle" serve --addr "127.0.0.1:$port" --data "$work/data" 2>"$work/log" &
server=$!
for _ in $(seq 120); do
  curl -sf "http://127.0.0.1:$port/readyz" >/dev/null && break
  kill -0 "$server" 2>/dev/null || { cat "$work/log"; exit 1; }
  sleep 0.5
done
result=0
cd "$here"
"${SCHEMATHESIS:-schemathesis}" --config-file schemathesis.toml run ../openapi.json --url "http://127.0.0.1:$port" -H "Authorization: Bearer $key" \
  --seed "${SEED:-1}" --max-time "$seconds" --continue-on-failure --no-color --request-timeout 20 --generation-database none >"$work/report" || result=$?
sed -n '/= SUMMARY =/,$p' "$work/report"
if [ "$result" != 0 ]; then
  cut -c1-1500 "$work/report" | head -400
  exit "$result"
fi
# What the server itself calls a failure, although it told nobody.
if grep -q 'level=ERROR' "$work/log"; then
  grep 'level=ERROR' "$work/log" | cut -c1-1000 | head
  exit 1
fi
