"""Judges prowler's findings: those that were not there before the stack was, unless accepted with a reason.
A critical one is accepted only where the emulator alone makes it so.

Usage: audit.py before.json after.json accepted.txt
"""

import json
import sys
from fnmatch import fnmatchcase


def findings(path):
    """What failed, by check and resource."""
    out = {}
    for it in json.load(open(path)):
        if it["status_code"] != "FAIL":
            continue
        resource = ", ".join(r.get("uid") or r.get("name", "") for r in it.get("resources", []))
        out[it["metadata"]["event_code"], resource] = it
    return out


def name(it):
    """The tag `Name` of what a finding is about; the resource's own name or id where it has none."""
    resource = it["resources"][0]
    tags = dict(label.split(":", 1) for label in resource.get("labels") or [] if ":" in label)
    return tags.get("Name") or resource["name"]


before, after = findings(sys.argv[1]), findings(sys.argv[2])
accepted = []
for line in open(sys.argv[3]):
    what, _, reason = line.partition("#")
    if what.strip():
        check, pattern = what.split()
        accepted.append((check, pattern, reason.strip()))

bad = 0
caused = {key: it for key, it in after.items() if key not in before}
for (check, resource), it in sorted(caused.items()):
    line = f"{it['severity']:<9} {check}: {name(it)}: {it['status_detail']} ({resource})"
    reasons = [why for (of, pattern, why) in accepted if of == check and fnmatchcase(name(it), pattern)]
    reason = reasons[0] if reasons else ""
    if reason and (it["severity"] != "Critical" or reason.startswith("emulator:")):
        print(f"accepted: {line}\n          {reason}")
    else:
        bad += 1
        print(line)
print(f"{len(caused)} critical or high findings that the stack causes, {bad} of them not accepted")
sys.exit(bool(bad))
