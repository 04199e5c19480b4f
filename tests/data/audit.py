"""Judges prowler's findings: nothing critical, nothing high without an accepted reason."""

import json
import sys

found = [it for it in json.load(open(sys.argv[1])) if it["status_code"] == "FAIL"]
accepted = {}
for line in open(sys.argv[2]):
    check, _, reason = line.partition("#")
    if check.strip():
        accepted[check.strip()] = reason.strip()

bad = []
for it in found:
    check = it["metadata"]["event_code"]
    severity = it["severity"]
    resource = ", ".join(r.get("uid") or r.get("name", "") for r in it.get("resources", []))
    line = f"{severity:<9} {check}: {it['status_detail']} ({resource})"
    if check in accepted and severity != "Critical":
        print(f"accepted  {line}\n          {accepted[check]}")
    else:
        bad.append(line)
print(f"{len(found)} findings that are high or critical, {len(bad)} of them not accepted")
print("\n".join(bad))
sys.exit(bool(bad))
