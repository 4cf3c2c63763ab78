#!/usr/bin/env bash
# Installs a Debian package, starts what the systemd unit would start, as the user
# that it would start it as, asks it something, and removes the package. Needs
# root, and a machine without Needle on it:
#   deploy/release/check.sh dist/needle_1.2.3_linux_amd64.deb
set -euo pipefail
deb=$(realpath "$1")
! dpkg -s needle >/dev/null 2>&1 || { echo "needle is installed already; this would remove it" >&2; exit 1; }
server=
log=$(mktemp)
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  dpkg --purge needle >/dev/null 2>&1 || true
  rm -rf /var/lib/needle "$log"
  deluser --quiet needle >/dev/null 2>&1 || true
}
trap finish EXIT
fail() { echo "check: $*" >&2; cat "$log" >&2; exit 1; }

apt-get install -y -qq --no-install-recommends "$deb" >"$log" 2>&1 || fail "it does not install"
cd /
needle version
unit=/usr/lib/systemd/system/needle.service
value() { sed -n "s/^$1=//p" "$unit"; }
user=$(value User)
state=/var/lib/$(value StateDirectory)
[ "$(stat -c %U "$state")" = "$user" ] || fail "$state does not belong to $user"
# Becomes the service, so that a signal reaches it.
# shellcheck disable=SC2046 # the unit's words are words
as_service() { cd "$(value WorkingDirectory)" && exec setpriv --reuid "$user" --regid "$(value Group)" --init-groups env -i PATH="$PATH" $(value Environment) "$@"; }
# shellcheck disable=SC2046
(as_service $(value ExecStartPre)) >>"$log" 2>&1 || fail "ExecStartPre failed"
# shellcheck disable=SC2046
as_service $(value ExecStart) >>"$log" 2>&1 &
server=$!
for _ in $(seq 120); do
  curl -sf http://127.0.0.1:8080/readyz >/dev/null && break
  kill -0 "$server" 2>/dev/null || fail "the server ended"
  sleep 0.5
done
version=$(needle version --json | sed -n 's/.*"version": "\(.*\)".*/\1/p')
curl -sf http://127.0.0.1:8080/healthz | grep -qF "\"version\":\"$version\"" || fail "/healthz does not name version $version"
curl -sf http://127.0.0.1:8080/v1/indexes/default/documents -H 'Content-Type: application/json' \
  -d '{"id":"a","text":"The boiler in Brno is inspected by Jana Dvorakova."}' >/dev/null || fail "a document is refused"
curl -sf http://127.0.0.1:8080/v1/ask -H 'Content-Type: application/json' -d '{"question":"Who inspects the boiler in Brno?"}' |
  grep -q 'Jana Dvorakova' || fail "the answer is wrong"
kill "$server"
wait "$server" || fail "it does not end well"
server=
dpkg --remove needle >>"$log" 2>&1 || fail "it cannot be removed"
[ ! -e /usr/bin/needle ] || fail "the program is still there"
[ -e /etc/needle/needle.yaml ] || fail "removing took the configuration"
[ -d "$state/data/indexes/default" ] || fail "removing took the documents"
dpkg --purge needle >>"$log" 2>&1 || fail "it cannot be purged"
[ ! -e /etc/needle/needle.yaml ] || fail "purging left the configuration"
echo "check: it installs, serves, answers and goes"
