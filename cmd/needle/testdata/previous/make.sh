#!/usr/bin/env bash
# Makes the data directory of a release, which the tests of later ones open:
#   cmd/needle/testdata/previous/make.sh NEEDLE OUT.tar.gz
# NEEDLE is the binary of that release. In the directory are an index with
# vectors, filters and groups, a synced folder, a backup, keys (their secrets are
# in keys.txt; they open nothing else), feedback, an idempotency record, a score
# profile, a kept evaluation and canaries.
set -euo pipefail
needle=$(realpath "$1")
out=$(realpath -m "$2")
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../../.." && pwd)
# Paths end up in what is written, so they are the same wherever this runs.
work=/srv/needle-previous
mkdir "$work"
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"
printf 'ranker: {type: vector}\n' > needle.yaml
data=data
run() { "$needle" --config needle.yaml --data "$data" "$@"; }

cp -r "$root/examples/handbook/people" people
cp "$here/questions.json" .
run index sync people
cat > more.jsonl <<'JSONL'
{"id":"more/boiler","title":"Boiler room","text":"The boiler in Brno is inspected every April by Jana Dvorakova.","metadata":{"year":2024,"site":"brno"}}
{"id":"more/secret","title":"Plans","text":"The board plans to open a plant in Porto in 2031.","metadata":{"year":2031,"site":"porto"},"groups":["board"]}
{"id":"more/gone","title":"Old","text":"The telephone exchange was sold to Ambrose Tillotson.","metadata":{"year":1999,"site":"brno"}}
JSONL
run index add more.jsonl
run index vectors
run calibrate --path questions.json --use
run eval --path questions.json --label before > eval.txt
run canary set --path questions.json --limit 5
run index backup "$data/monday.needle"
run keys create --name admin --role admin --all-groups --json > keys.txt
run keys create --name reader --role search >> keys.txt
admin=$(sed -n 's/.*"\(needle_[a-z0-9_]*\)".*/\1/p' keys.txt)
[ -n "$admin" ] || { echo "no key in keys.txt:"; cat keys.txt; exit 1; }

port=18471
"$needle" --config needle.yaml --data "$data" serve --addr 127.0.0.1:$port 2> serve.log &
server=$!
for _ in $(seq 100); do curl -sf http://127.0.0.1:$port/readyz >/dev/null && break; sleep 0.2; done
call() { curl -sS --fail-with-body -H "Authorization: Bearer $admin" -H 'Content-Type: application/json' "$@" http://127.0.0.1:$port$path; echo; }
path=/v1/ask call -d '{"question":"Who inspects the boiler in Brno?"}' > answer.json
path=/v1/feedback call -H 'Idempotency-Key: first' -d '{"question":"Who inspects the boiler in Brno?","verdict":"correct","document_id":"more/boiler","answer":"Jana Dvorakova","start":47,"end":61}'
path=/v1/feedback call -d '{"question":"Who bought the telephone exchange?","verdict":"correct","document_id":"more/gone","answer":"Ambrose Tillotson","start":35,"end":52}'
kill "$server"; wait "$server" || true; server=

cp keys.txt "$data/keys.txt"
# What is derived is made again.
rm -rf "$data"/indexes/*/flat "$data"/server.json "$data"/audit.jsonl
tar --sort=name --owner=0 --group=0 --numeric-owner -czf "$out" -C "$work" data
ls -l "$out"
