"""What was checked of a checkpoint: one line per check, for people and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from savi.models.self_checks import Finding


def as_text(checkpoint: str, findings: list[Finding]) -> str:
    """A line for each check, and one for all."""
    failed = [finding.name for finding in findings if finding.passed is False]
    verdict = f"✗ failed: {', '.join(failed)}" if failed else "✓ nothing is in the way"
    return "\n".join([checkpoint, *(finding.line for finding in findings), verdict])


def as_json(checkpoint: str, versions: dict[str, str], findings: list[Finding]) -> str:
    """The same to paste into an issue."""
    content = {
        "checkpoint": checkpoint,
        "versions": versions,
        "passed": all(finding.passed is not False for finding in findings),
        "findings": [asdict(finding) for finding in findings],
    }
    return json.dumps(content, indent=1, ensure_ascii=False)
