#!/usr/bin/env bash
# Starts and stops a real Apache Tika server for the tests of ingest/tika:
#
#     export NEEDLE_TIKA_URL=$(deploy/tika/test-server.sh start)
#     go test ./ingest/tika
#     deploy/tika/test-server.sh stop
#
# It needs Maven, curl and Java 11 or later, and fetches one file of 66 MB. The
# server listens on loopback only.
#
#     NEEDLE_TIKA_DIR    where everything is put; default: needle-tika in the
#                        folder for temporary files
#     NEEDLE_TIKA_PORT   default: 19998
set -euo pipefail

version=3.2.2
dir=${NEEDLE_TIKA_DIR:-${TMPDIR:-/tmp}/needle-tika}
jar=$dir/tika-server-standard-$version.jar
port=${NEEDLE_TIKA_PORT:-19998}
url=http://127.0.0.1:$port

# shellcheck source=deploy/test-server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../test-server.sh"

# fetch gets the server, which is one file with everything in it. Maven wants
# the description of its parent all the same, which not every mirror has; an
# empty one does.
fetch() {
  local parent=$dir/repo/org/apache/tika/tika-server/$version
  mkdir -p "$parent"
  cat >"$parent/tika-server-$version.pom" <<XML
<project><modelVersion>4.0.0</modelVersion><groupId>org.apache.tika</groupId><artifactId>tika-server</artifactId><version>$version</version><packaging>pom</packaging></project>
XML
  cat >"$dir/settings.xml" <<XML
<settings><profiles><profile><id>parent</id><repositories><repository><id>parent</id><url>file://$dir/repo</url></repository></repositories></profile></profiles>
<activeProfiles><activeProfile>parent</activeProfile></activeProfiles></settings>
XML
  mvn -q -B -gs "$dir/settings.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
    -Dartifact="org.apache.tika:tika-server-standard:$version" -DoutputDirectory="$dir" >&2
  [ -s "$jar" ] || fail "Maven brought no $jar"
}

start() {
  if running; then
    echo "$url"
    return
  fi
  need mvn curl java
  mkdir -p "$dir"
  [ -s "$jar" ] || fetch
  java -Xmx1g -jar "$jar" --host 127.0.0.1 --port "$port" --noFork >"$dir/log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  answers /version 240
}

stop() {
  end 40
  rm -f "$dir/pid"
}

case "${1:-}" in
  start) start ;;
  stop) stop ;;
  *) fail "usage: test-server.sh start|stop" ;;
esac
