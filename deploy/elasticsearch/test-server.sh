#!/usr/bin/env bash
# Starts and stops a real Elasticsearch for the tests of retriever/elastic:
#
#     export NEEDLE_ES_URL=$(deploy/elasticsearch/test-server.sh start)
#     go test ./retriever/elastic/...
#     deploy/elasticsearch/test-server.sh stop
#
# It needs Maven, unzip, curl and Java 17 or later. The server is the one that
# Elastic publishes for integration tests: the real one with few modules. It
# listens on loopback only, on a free port, without security. It refuses to run
# as root, so root runs it as a user of its own, made on first use.
#
#     NEEDLE_ES_DIR    where everything is put; default: needle-elasticsearch
#                      in the folder for temporary files. The folders above
#                      it must be open to the server's user
#     NEEDLE_ES_HOME   folder where the server is unpacked, which several may
#                      share; default: NEEDLE_ES_DIR
#     NEEDLE_ES_HEAP   size of the Java heap; default: 512m
#     NEEDLE_ES_SECURITY=true  switches security on: TLS with an authority of
#                      its own, whose certificate is config/ca.pem in
#                      NEEDLE_ES_DIR, and the users elastic, needle_writer and
#                      needle_reader (who may do what Needle needs, and read, on
#                      indexes test-*) with the password needle-test. It needs
#                      openssl and javac: a plugin of ours is added, without
#                      which this server cannot make API keys
#     ES_JAVA_HOME     the Java to run with; default: the one on the PATH
#
# A server that was killed is started again, on the same address and with what it
# has on disk, by: test-server.sh resume
set -euo pipefail

version=8.19.7
artifact=org.elasticsearch.distribution.integ-test-zip:elasticsearch:$version:zip
dir=${NEEDLE_ES_DIR:-${TMPDIR:-/tmp}/needle-elasticsearch}
home=${NEEDLE_ES_HOME:-$dir}/elasticsearch-$version
security=${NEEDLE_ES_SECURITY:-false}
password=needle-test
heap=${NEEDLE_ES_HEAP:-512m}
user=needle-es

# shellcheck source=deploy/test-server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../test-server.sh"

# as_user runs a command as somebody other than root.
as_user() {
  if [ "$(id -u)" -eq 0 ]; then
    setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
  else
    "$@"
  fi
}

java_home() {
  if [ -n "${ES_JAVA_HOME:-}" ]; then
    echo "$ES_JAVA_HOME"
    return
  fi
  local java
  java=$(command -v java) || fail "there is no java; install Java 17 or set ES_JAVA_HOME"
  dirname "$(dirname "$(readlink -f "$java")")"
}

start() {
  if running; then
    cat "$dir/url"
    return
  fi
  need mvn unzip curl
  ES_JAVA_HOME=$(java_home)
  export ES_JAVA_HOME
  mkdir -p "$dir" "$(dirname "$home")"
  if [ ! -x "$home/bin/elasticsearch" ]; then
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get -Dartifact="$artifact" -Dtransitive=false >&2
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact="$artifact" -DoutputDirectory="$dir" >&2
    unzip -q -o "$dir/elasticsearch-$version.zip" -d "$(dirname "$home")"
    rm "$dir/elasticsearch-$version.zip"
  fi
  # Every start is a fresh server: what a run before left behind is no concern
  # of this one.
  rm -rf "$dir/data" "$dir/logs" "$dir/config"
  mkdir -p "$dir/data" "$dir/logs" "$dir/tmp"
  cp -r "$home/config" "$dir/config"
  cat >"$dir/config/elasticsearch.yml" <<YAML
cluster.name: needle-test
node.name: test
path.data: $dir/data
path.logs: $dir/logs
network.host: 127.0.0.1
http.port: 0
transport.port: 0
# Writes http.ports, which says which port the system gave.
node.portsfile: true
discovery.type: single-node
xpack.security.enabled: $security
xpack.ml.enabled: false
# A nearly full disk of a test machine must not make the server refuse writes.
cluster.routing.allocation.disk.threshold_enabled: false
# Tests create many indexes.
cluster.max_shards_per_node: 5000
YAML
  if [ "$security" = true ]; then
    plugin
    secure
  fi
  if [ "$(id -u)" -eq 0 ]; then
    id "$user" >/dev/null 2>&1 || useradd --system --user-group --no-create-home --shell /usr/sbin/nologin "$user"
    chown -R "$user:$user" "$dir"
    chmod 755 "$dir"
  fi
  launch
}

# plugin adds what the distribution lacks to make API keys.
plugin() {
  local here made name=needle-test
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/test-plugin
  [ -d "$home/plugins/$name" ] && return
  made=$(mktemp -d "$home/plugin.XXXXXX")
  mkdir "$made/classes"
  "$ES_JAVA_HOME/bin/javac" -cp "$home/lib/*" -d "$made/classes" "$here/EmailAnalysis.java"
  "$ES_JAVA_HOME/bin/jar" cf "$made/$name.jar" -C "$made/classes" .
  rm -r "$made/classes"
  cat >"$made/plugin-descriptor.properties" <<PROPERTIES
name=$name
description=analysis of e-mail addresses, for tests
version=1
elasticsearch.version=$version
java.version=17
classname=EmailAnalysis
PROPERTIES
  chmod -R a+rX "$made"
  mkdir -p "$home/plugins"
  mv -T "$made" "$home/plugins/$name" 2>/dev/null || rm -r "$made"
}

# secure makes certificates and the password of the user elastic.
secure() {
  (
    cd "$dir/config"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj "/CN=Needle test authority" 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -keyout http.key -out http.csr -subj "/CN=127.0.0.1" 2>/dev/null
    openssl x509 -req -in http.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out http.pem \
      -extfile <(echo "subjectAltName=IP:127.0.0.1") 2>/dev/null
    # The authority is sent along, as Elasticsearch's own set-up does it.
    cat ca.pem >>http.pem
    cat >>elasticsearch.yml <<YAML
xpack.security.autoconfiguration.enabled: false
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.key: http.key
xpack.security.http.ssl.certificate: http.pem
YAML
  )
  ES_PATH_CONF=$dir/config "$home/bin/elasticsearch-keystore" create -s >/dev/null
  echo "$password" | ES_PATH_CONF=$dir/config "$home/bin/elasticsearch-keystore" add -x bootstrap.password >/dev/null
  # Users of files: they are there from the start.
  cat >>"$dir/config/roles.yml" <<'YAML'
needle_writer:
  indices:
    - names: ["test-*"]
      privileges: [create_index, delete_index, read, write, view_index_metadata, maintenance, manage]
needle_reader:
  indices:
    - names: ["test-*"]
      privileges: [read, view_index_metadata]
YAML
  ES_PATH_CONF=$dir/config "$home/bin/elasticsearch-users" useradd needle_writer -p "$password" -r needle_writer >/dev/null
  # The tool takes seconds; a second user with the same password is one line.
  sed -n 's/^needle_writer:/needle_reader:/p' "$dir/config/users" >>"$dir/config/users.reader"
  cat "$dir/config/users.reader" >>"$dir/config/users"
  rm "$dir/config/users.reader"
  echo "needle_reader:needle_reader" >>"$dir/config/users_roles"
}

# resume starts a server again that is no longer running.
resume() {
  if running; then
    fail "it runs"
  fi
  ES_JAVA_HOME=$(java_home)
  export ES_JAVA_HOME
  local port
  port=$(sed -n 's/.*:\([0-9]*\)$/\1/p' "$dir/url")
  sed -i "s/^http.port: .*/http.port: $port/" "$dir/config/elasticsearch.yml"
  rm -f "$dir/pid" "$dir/logs/http.ports" "$dir/config/http.ports"
  launch
}

launch() {
  ES_PATH_CONF=$dir/config ES_TMPDIR=$dir/tmp ES_JAVA_OPTS="-Xms$heap -Xmx$heap" \
    as_user nice -n "${NEEDLE_ES_NICE:-0}" "$home/bin/elasticsearch" --daemonize --pidfile "$dir/pid" >"$dir/start.log" 2>&1 ||
    { tail -n 30 "$dir/start.log" >&2; fail "Elasticsearch did not start"; }
  local port url
  for _ in $(seq 120); do
    port=$(sed -n 's/^127\.0\.0\.1:\([0-9]*\)$/\1/p' "$dir/logs/http.ports" "$dir/config/http.ports" 2>/dev/null || true)
    url=http://127.0.0.1:$port
    if [ -e "$dir/config/ca.pem" ]; then
      url=https://127.0.0.1:$port
      set -- --cacert "$dir/config/ca.pem" --user "elastic:$password"
    fi
    if [ -n "$port" ] && curl -fsS "$@" "$url/_cluster/health?wait_for_status=yellow&timeout=5s" >/dev/null 2>&1; then
      echo "$url" | tee "$dir/url"
      return
    fi
    running || { tail -n 30 "$dir/logs"/*.log >&2; fail "Elasticsearch died"; }
    sleep 0.5
  done
  fail "Elasticsearch does not answer; see $dir/logs"
}

stop() {
  end 60
  rm -rf "$dir/pid" "$dir/url" "$dir/data"
}

case "${1:-}" in
  start) start ;;
  stop) stop ;;
  resume) resume ;;
  *) fail "usage: test-server.sh start|stop|resume" ;;
esac
