"""How well a base model answers, criticizes and revises: the numbers of its model card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from savi.prompts.templates import WORLD
from savi.types import ASPECTS
from savi.world.benchmark import choose, make_options
from savi.world.questions import KINDS, Query, queries
from savi.world.scenes import Scene, make_scene, scene_seed
from tools.base_model.frames import prepare, shoot
from tools.base_model.packed_rows import Typesetter, patches, read, see

MAX_TOKENS = 32
BATCH = 64


class Speaker:
    """A base model that replies to texts about scenes. Their visual tokens are computed once."""

    def __init__(
        self, model: Qwen2_5_VLForConditionalGeneration, processor: Qwen2_5_VLProcessor, scenes: Sequence[Scene]
    ) -> None:
        self.model, self.tokenizer = model.eval(), processor.tokenizer
        self.typesetter = Typesetter(model, processor)
        with torch.no_grad():
            seen = [
                see(model.model.visual, patches(processor, prepare(shoot(scene), processor)[None])) for scene in scenes
            ]
        self.tokens = torch.cat(seen)

    @torch.no_grad()
    def say(self, clips: Sequence[int], prompts: Sequence[str], temperature: float = 0, seed: int = 0) -> list[str]:
        """One reply a prompt; clips: index of the scene that each is about. temperature 0 is greedy."""
        generator = torch.Generator().manual_seed(seed)
        rows = [self.typesetter.prompt(prompt) for prompt in prompts]
        starts, going = [len(row) for row in rows], list(range(len(rows)))
        for _ in range(MAX_TOKENS):
            if not going:
                break
            slices = [going[at : at + BATCH] for at in range(0, len(going), BATCH)]
            logits = torch.cat([self._next(part, clips, rows) for part in slices])
            if temperature:
                picked = torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0]
            else:
                picked = logits.argmax(-1)
            for row, token in zip(going, picked.tolist(), strict=True):
                rows[row].append(token)
            going = [row for row in going if rows[row][-1] != self.tokenizer.eos_token_id]
        replies = [row[start:] for row, start in zip(rows, starts, strict=True)]
        return [self.tokenizer.decode(reply).removesuffix("<|im_end|>") for reply in replies]

    def prefer(self, clip: int, prompt: str, options: Sequence[str]) -> int:
        """Index of the option with the highest log-probability."""
        return int(self.score(clip, prompt, options).argmax())

    @torch.no_grad()
    def score(self, clip: int, prompt: str, options: Sequence[str]) -> torch.Tensor:
        """The log-probability of each option, (options,), the end token counted in."""
        asked, replies = self.typesetter.prompt(prompt), [self.tokenizer.encode(f"{o}<|im_end|>") for o in options]
        page = self.typesetter.lay([[(asked, reply) for reply in replies]])
        hidden = read(self.model, self.tokens[[clip]], page)[page.targets >= 0]
        logps = self.model.lm_head(hidden).log_softmax(-1)
        said = logps.gather(1, page.targets[page.targets >= 0][:, None])[:, 0]
        sums = [part.sum() for part in said.split([len(reply) for reply in replies])]
        return torch.stack(sums)

    def _next(self, going: list[int], clips: Sequence[int], rows: list[list[int]]) -> torch.Tensor:
        """Logits of the next token of some rows, (rows, vocabulary)."""
        page = self.typesetter.lay([[(rows[row], [])] for row in going])
        hidden = read(self.model, self.tokens[[clips[row] for row in going]], page)
        last = torch.tensor([len(self.typesetter.head) + len(rows[row]) - 1 for row in going])
        logits: torch.Tensor = self.model.lm_head(hidden[torch.arange(len(going)), last])
        return logits


@dataclass(frozen=True)
class Asked:
    """One question about one scene; clip: the scene's index."""

    clip: int
    query: Query


def chain(speaker: Speaker, asked: Sequence[Asked], temperature: float, seed: int = 0) -> list[tuple[str, str, str]]:
    """(answer, critique, revision) of each question: the answer at `temperature`, the rest greedy."""
    clips = [one.clip for one in asked]
    texts = [one.query.text for one in asked]
    answers = speaker.say(clips, [WORLD.answer.format(question=text) for text in texts], temperature, seed)
    pairs = list(zip(texts, answers, strict=True))
    critiques = speaker.say(clips, [WORLD.critique.format(question=text, answer=answer) for text, answer in pairs])
    revisions = speaker.say(
        clips,
        [
            WORLD.revision.format(question=text, answer=answer, critique=critique)
            for (text, answer), critique in zip(pairs, critiques, strict=True)
        ],
    )
    return list(zip(answers, critiques, revisions, strict=True))


def measure(
    model: Qwen2_5_VLForConditionalGeneration,
    processor: Qwen2_5_VLProcessor,
    scenes: int = 120,
    seed: int = 0,
) -> dict[str, float]:
    """Shares, 0 to 1, on development scenes: of answers that are right, of own questions that are valid, and so on."""
    watched = [make_scene(scene_seed("dev", seed, index)) for index in range(scenes)]
    speaker, random, counts = Speaker(model, processor, watched), Random(seed), Counter[tuple[str, ...]]()
    asked = [Asked(i, query) for i, scene in enumerate(watched) for query in choose(queries(scene), counts, random)]
    greedy, sampled = chain(speaker, asked, 0), chain(speaker, asked, 1.0, seed)
    preferred = []
    for one in asked:
        options, answer = make_options(one.query, random)
        preferred.append(speaker.prefer(one.clip, WORLD.answer.format(question=one.query.text), options) == answer)
    numbers = {
        "multiple choice": _share(preferred),
        "greedy": _share(one.query.answer == answer for one, (answer, _, _) in zip(asked, greedy, strict=True)),
        "greedy revised": _share(one.query.answer == end for one, (_, _, end) in zip(asked, greedy, strict=True)),
        "sampled": _share(one.query.answer == answer for one, (answer, _, _) in zip(asked, sampled, strict=True)),
        "sampled revised": _share(one.query.answer == end for one, (_, _, end) in zip(asked, sampled, strict=True)),
        "malformed": _share(answer not in one.query.values for one, (answer, _, _) in zip(asked, greedy, strict=True)),
    }
    for kind in KINDS:
        of_kind = [(one, said) for one, said in zip(asked, greedy, strict=True) if one.query.kind == kind]
        numbers[f"greedy {kind}"] = _share(one.query.answer == said[0] for one, said in of_kind)
        numbers[f"greedy revised {kind}"] = _share(one.query.answer == said[2] for one, said in of_kind)
    return numbers | _own_questions(speaker, watched, seed)


def _own_questions(speaker: Speaker, watched: Sequence[Scene], seed: int) -> dict[str, float]:
    """What becomes of the questions that the model asks by itself: the pairs that alignment would see."""
    clips = [index for index in range(len(watched)) for _ in ASPECTS]
    texts = speaker.say(clips, [WORLD.ask(aspect, 1) for _ in watched for aspect in ASPECTS], 1.0, seed)
    valid = [
        Asked(clip, query)
        for clip, aspect, text in zip(clips, ASPECTS * len(watched), texts, strict=True)
        for query in queries(watched[clip])
        if (query.text, query.aspect) == (text, aspect)
    ]
    said = list(zip(valid, chain(speaker, valid, 1.0, seed + 1), strict=True))
    changed = [(one, end) for one, (answer, _, end) in said if answer != end]
    return {
        "own questions valid": len(valid) / len(texts),
        "own answers changed": len(changed) / max(1, len(valid)),
        "changed answers right": _share(one.query.answer == end for one, end in changed),
    } | {f"own questions {kind}": _share(one.query.kind == kind for one in valid) for kind in KINDS}


def _share(hits: Iterable[bool]) -> float:
    values = list(hits)
    return sum(values) / max(1, len(values))
