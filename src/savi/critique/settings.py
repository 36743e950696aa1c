"""How the critique chain is run: the method's own settings, and those in which what it is compared with differs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from savi.critique.critics import CriticSettings
from savi.errors import SaviError, check_number
from savi.types import ASPECTS, Aspect, Sampling


@dataclass(frozen=True)
class ChainSettings:
    """How the chain is run.

    questions_per_aspect: most questions kept a clip and aspect. question_replies: replies drawn for them; a model
    that writes numbered lists needs one, a model that writes one question a reply needs as many as questions.
    aspects: what is asked about; "temporal" alone gives temporal preferences alone, as TPO's are (Li et al. 2025).
    second: the response beside the first answer, its "revision", or another "sample" that nobody criticises.
    direction: "second" prefers that response over the first answer; "random" draws each pair's direction, a control
    that must not learn anything; "judge" leaves it to a judge who never sees the clip, as in LLaVA-Hound-DPO (Zhang et
    al. 2024). critic: who criticises.
    """

    questions_per_aspect: int = 3
    question_replies: int = 1
    aspects: tuple[Aspect, ...] = ASPECTS
    second: Literal["revision", "sample"] = "revision"
    direction: Literal["second", "random", "judge"] = "second"
    critic: CriticSettings = field(default_factory=CriticSettings)
    question: Sampling = field(default_factory=lambda: Sampling(temperature=1.0, top_p=0.95))
    answer: Sampling = field(default_factory=lambda: Sampling(temperature=1.0, top_p=0.95))
    critique: Sampling = field(default_factory=lambda: Sampling(temperature=0.0))
    revision: Sampling = field(default_factory=lambda: Sampling(temperature=0.0))

    def __post_init__(self) -> None:
        for name in ("questions_per_aspect", "question_replies"):
            check_number(f"model.chain.{name}", getattr(self, name), least=1)
        if not self.aspects or len(set(self.aspects)) < len(self.aspects):
            raise SaviError(f"model.chain.aspects must be one or both of {', '.join(ASPECTS)}, each once")
        if self.second == "sample" and self.critic != CriticSettings():
            raise SaviError("model.chain.critic: with second=sample nobody criticises")
