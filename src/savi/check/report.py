"""What was checked of a checkpoint: one line per check, for people and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Finding:
    """One check. passed: None for a fact that can't be wrong. remedy: what to do where it didn't pass."""

    name: str
    passed: bool | None
    says: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """✓ or ✗ where there is something to pass, the name, and what was found."""
        mark = {True: "✓", False: "✗", None: " "}[self.passed]
        return f"{mark} {self.name:18} {self.says}" + (f"\n  {'':18} → {self.remedy}" if self.remedy else "")


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
