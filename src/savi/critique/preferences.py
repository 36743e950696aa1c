"""What the chain's questions become in the end: preference pairs, with their direction and their likelihoods."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from savi.critique.critics import prefer_by_text
from savi.critique.filters import FilterSettings, filter_likelihood
from savi.critique.settings import ChainSettings
from savi.critique.turns import ANSWER, Thread
from savi.inference import ScoreRequest, Session, VideoModel
from savi.prompts.templates import Prompts
from savi.types import PreferencePair, derive_seed, readable


def direct(
    model: VideoModel, threads: Sequence[Thread], seeds: Sequence[int], prompts: Prompts, settings: ChainSettings
) -> list[ScoreRequest]:
    """What the pair of each thread replies to, with its responses: the chosen one, the rejected one.

    model: the judge's, where settings have one. seeds: of the clips, (clips,).
    """
    requests = [
        ScoreRequest(
            thread.clip,
            ANSWER.prompt(prompts, thread.question, thread.replies),
            (thread.replies[settings.chosen_source], thread.replies["answer"]),
        )
        for thread in threads
    ]
    turned = [False] * len(threads)
    if settings.preference == "random":
        drawn = [random.Random(derive_seed(seeds[thread.clip], thread.key)).random() for thread in threads]
        turned = [chance < 0.5 for chance in drawn]
    elif settings.preference == "judge":
        turned = [preferred == 1 for preferred in prefer_by_text(model, requests)]
    return [
        replace(request, responses=request.responses[::-1]) if turn else request
        for request, turn in zip(requests, turned, strict=True)
    ]


def build_pairs(
    session: Session,
    threads: Sequence[Thread],
    requests: Sequence[ScoreRequest],
    seeds: Sequence[int],
    filters: FilterSettings,
    round_index: int,
    prompt_version: str,
) -> list[list[PreferencePair]]:
    """The pairs of each clip, (clips,). A thread whose pair isn't likely enough gets its filter's name instead.

    requests: of `direct`, (threads,). seeds: of the clips, (clips,).
    """
    scores = session.score_reference(requests) if requests else None
    logps, lengths = (scores.logps.tolist(), scores.lengths.tolist()) if scores else ([], [])
    pairs: list[list[PreferencePair]] = [[] for _ in session.clips]
    for index, (thread, request) in enumerate(zip(threads, requests, strict=True)):
        both = slice(2 * index, 2 * index + 2)
        thread.filtered_by = filter_likelihood(logps[both], lengths[both], filters)
        if thread.filtered_by is not None:
            continue
        clip = session.clips[thread.clip]
        chosen, rejected = request.responses
        pairs[thread.clip].append(
            PreferencePair(
                clip=clip.id,
                video=readable(str(clip.path)),
                round=round_index,
                aspect=thread.aspect,
                question=thread.question,
                prompt=request.prompt,
                chosen=chosen,
                rejected=rejected,
                critique=thread.replies.get("critique", ""),
                reference_chosen_logp=logps[2 * index],
                reference_rejected_logp=logps[2 * index + 1],
                seed=seeds[thread.clip],
                prompt_version=prompt_version,
            )
        )
    return pairs
