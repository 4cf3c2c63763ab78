"""Sum up the output of `go test -json`: failures in full, skips with their
reason, and the counts on one closing line."""
import json
import sys

passed, failed, skipped = 0, [], []
output = {}
packages_failed = []
for line in open(sys.argv[1], encoding="utf-8", errors="replace"):
    try:
        event = json.loads(line)
    except ValueError:
        print(line, end="")
        continue
    key = (event.get("Package") or event.get("ImportPath") or "", event.get("Test") or "")
    action = event.get("Action")
    if action in ("output", "build-output"):
        output.setdefault(key, []).append(event.get("Output", ""))
    elif action == "pass" and key[1]:
        passed += 1
        output.pop(key, None)
    elif action == "skip" and key[1]:
        skipped.append(key)
    elif action in ("fail", "build-fail"):
        (failed if key[1] else packages_failed).append(key)

for key in failed + packages_failed:
    print("FAIL", *key)
    print("".join(output.get(key, [])), end="")
for key in skipped:
    reason = [l.strip() for l in output.get(key, []) if not l.lstrip().startswith(("=== ", "--- "))]
    print("SKIP", *key, "|", " ".join(reason))
broken = [k for k in packages_failed if not any(f[0] == k[0] for f in failed)]
print(f"{passed} passed, {len(failed) + len(broken)} failed, {len(skipped)} skipped")
