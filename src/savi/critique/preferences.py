"""What questions become in the end: preference pairs, with the likelihoods of their responses."""

from __future__ import annotations

from collections.abc import Sequence

from savi.critique.filters import SAME_MEANING, filter_likelihood
from savi.critique.round import Round
from savi.critique.same_meaning import asks_model, score_and_compare
from savi.critique.turns import Thread
from savi.inference import ScoreRequest, Session
from savi.types import PreferencePair, readable


def build_pairs(
    session: Session, threads: Sequence[Thread], requests: Sequence[ScoreRequest], round: Round
) -> list[list[PreferencePair]]:
    """The pairs of each clip, (clips,). A thread whose responses say the same to the reference, or whose pair isn't
    likely enough, gets its filter's name instead.

    requests: what each pair replies to, with its chosen and its rejected response, (threads,).
    """
    compared = [(index, 0, 1) for index in range(len(requests))] if asks_model(round.prompts, round.filters) else []
    logps, lengths, verdicts = score_and_compare(session, requests, compared, round.prompts)
    pairs: list[list[PreferencePair]] = [[] for _ in session.clips]
    for index, (thread, request) in enumerate(zip(threads, requests, strict=True)):
        both = slice(2 * index, 2 * index + 2)
        said_the_same = bool(verdicts) and verdicts[index]
        implausible = filter_likelihood(logps[both], lengths[both], round.filters)
        thread.filtered_by = SAME_MEANING if said_the_same else implausible
        if thread.filtered_by is not None:
            continue
        asked = thread.question
        clip = session.clips[asked.clip]
        chosen, rejected = request.responses
        pairs[asked.clip].append(
            PreferencePair(
                clip=clip.id,
                video=readable(str(clip.path)),
                round=round.index,
                aspect=asked.aspect,
                question=asked.text,
                prompt=request.prompt,
                chosen=chosen,
                rejected=rejected,
                critique=thread.replies.get("critique", ""),
                reference_chosen_logp=logps[2 * index],
                reference_rejected_logp=logps[2 * index + 1],
                seed=asked.clip_seed,
                prompt_version=round.prompts.version,
            )
        )
    return pairs
