#!/usr/bin/env bash
# Starts and stops a real S3 server (versitygw, over a folder) for the tests of
# ingest/s3:
#
#     export NEEDLE_S3_URL=$(deploy/s3/test-server.sh start)
#     go test ./ingest/s3
#     deploy/s3/test-server.sh stop
#
# It needs Go and curl, and builds the server once. It listens on loopback only;
# its keys are needle-test and needle-test-secret.
#
#     NEEDLE_S3_DIR    where everything is put; default: needle-s3 in the folder
#                      for temporary files
#     NEEDLE_S3_PORT   default: 19097
set -euo pipefail

version=v1.8.0
dir=${NEEDLE_S3_DIR:-${TMPDIR:-/tmp}/needle-s3}
port=${NEEDLE_S3_PORT:-19097}
url=http://127.0.0.1:$port

# shellcheck source=deploy/test-server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../test-server.sh"

start() {
  if running; then
    echo "$url"
    return
  fi
  need go curl
  mkdir -p "$dir/data" "$dir/meta"
  [ -x "$dir/versitygw" ] || (cd "$dir" && GOBIN=$dir GOFLAGS= go install "github.com/versity/versitygw/cmd/versitygw@$version" >&2)
  ROOT_ACCESS_KEY=needle-test ROOT_SECRET_KEY=needle-test-secret \
    "$dir/versitygw" --port "127.0.0.1:$port" --health /health posix --sidecar "$dir/meta" "$dir/data" >"$dir/log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  answers /health 60
}

stop() {
  end 40
  rm -rf "$dir/pid" "$dir/data" "$dir/meta"
}

case "${1:-}" in
  start) start ;;
  stop) stop ;;
  *) fail "usage: test-server.sh start|stop" ;;
esac
