"""Conversations before a reply: packed scoring equals plain scoring, whatever comes before the video and behind it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from savi.conversations import Conversation, Message, from_messages, opening, simplified, to_messages
from savi.inference import ScoreRequest
from savi.models.families import FAMILIES
from savi.models.prefix_cache import PrefixCacheSettings
from savi.models.video_lm import VideoLM
from savi.types import Clip, OpenedClip, SaviError
from tests.miniatures import build_lm, noise_clip
from tools.tiny_models import MINIATURES

SYSTEM = Message("system", "You are brief.")
SHOWN = Message("user", "what is it?", 0)
TURNS = (Message("assistant", "a cat"), Message("user", "and what does it do?"))
CONVERSATIONS: dict[str, Conversation] = {
    "one question": (SHOWN,),
    "system message": (SYSTEM, SHOWN),
    "several turns": (SHOWN, *TURNS),
    "system message and turns": (SYSTEM, SHOWN, *TURNS),
    "text before the video": (Message("user", "look at this: what is it?", 13),),
    "video in the second turn": (Message("user", "hello"), Message("assistant", "yes?"), SHOWN),
}


@pytest.fixture(scope="module", params=list(FAMILIES))
def lm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VideoLM:
    return build_lm(MINIATURES[request.param](tmp_path_factory.mktemp(request.param)))


def clip_of(conversation: Conversation) -> Clip:
    clip, _ = noise_clip(0)
    before = opening(conversation)
    return OpenedClip(clip.id, clip.path, before) if before else clip


def is_usable(lm: VideoLM, conversation: Conversation) -> bool:
    """Whether the chat template writes this conversation: some have no place for a system message."""
    clip, (_, frames) = clip_of(conversation), noise_clip(0)
    with suppress(SaviError):
        lm.encode([clip], [frames]).score_reference([ScoreRequest(0, simplified(conversation), ("a",))])
        return True
    return False


def test_every_conversation_scores_as_a_row_of_its_own_does(lm: VideoLM) -> None:
    _, frames = noise_clip(0)
    usable = {name: conversation for name, conversation in CONVERSATIONS.items() if is_usable(lm, conversation)}
    assert {"one question", "several turns"} <= usable.keys()
    clips = [clip_of(conversation) for conversation in usable.values()]
    prompts = [simplified(conversation) for conversation in usable.values()]
    requests = [ScoreRequest(index, prompt, ("it sleeps", "no")) for index, prompt in enumerate(prompts)]
    packed = lm.encode(clips, [frames] * len(clips)).score(requests)
    plain = lm.score_one_by_one([frames] * len(clips), requests)
    torch.testing.assert_close(packed.logps, plain.logps, atol=1e-4, rtol=0)
    assert packed.lengths.tolist() == plain.lengths.tolist()
    if lm.family.model_type == "qwen2_5_vl":
        assert usable.keys() == CONVERSATIONS.keys()
        assert len({round(score, 3) for score in packed.logps[::2].tolist()}) == len(CONVERSATIONS)


def test_what_follows_an_answer_scores_as_a_row_of_its_own_does(lm: VideoLM) -> None:
    """The answers are responses of one request and turns of the others, which a tree may read once."""
    clip, frames = noise_clip(0)
    answers = ("a cat", "it is a small cat")
    follow_ups = [
        ScoreRequest(0, (SHOWN, Message("assistant", one), Message("user", f"or: {other}")), ("Yes",))
        for one, other in (answers, answers[::-1])
    ]
    requests = [ScoreRequest(0, SHOWN.text, answers), *follow_ups]
    together = lm.encode([clip], [frames]).score(requests)
    plain = lm.score_one_by_one([frames], requests)
    torch.testing.assert_close(together.logps, plain.logps, atol=1e-4, rtol=0)
    assert together.lengths.tolist() == plain.lengths.tolist()


def test_a_template_that_loses_the_system_message_is_refused(random_base: Path) -> None:
    lm = build_lm(random_base)
    _, frames = noise_clip(0)
    template = lm.processor.chat_template
    lm.processor.chat_template = (
        "{% for message in messages if message['role'] != 'system' %}"
        + template.partition("{% for message in messages %}")[2]
    )
    conversation = CONVERSATIONS["system message"]
    session = lm.encode([clip_of(conversation)], [frames])
    with pytest.raises(SaviError, match="leaves the system message out"):
        session.score([ScoreRequest(0, conversation, ("a",))])
    lm.processor.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(SaviError, match="takes no such conversation: roles must alternate"):
        lm.chat.text(conversation)


def test_a_prompt_is_refused_behind_another_opening(random_base: Path) -> None:
    lm = build_lm(random_base)
    clip, frames = noise_clip(0)
    with pytest.raises(ValueError, match="behind another text"):
        lm.encode([clip], [frames]).score([ScoreRequest(0, CONVERSATIONS["system message"], ("a",))])


def test_the_prefix_on_disk_is_that_of_its_opening(random_base: Path, tmp_path: Path) -> None:
    lm = build_lm(random_base, prefix_cache=PrefixCacheSettings(folder=str(tmp_path / "prefixes")))
    file = tmp_path / "clip.mp4"
    file.write_bytes(b"a file")
    _, frames = noise_clip(0)
    clips = [Clip("clip", file), OpenedClip("clip", file, opening(CONVERSATIONS["system message"]))]
    encoded = [lm.encode([clip], [frames]).read.prefixes[0] for clip in clips]
    again = build_lm(random_base, prefix_cache=PrefixCacheSettings(folder=str(tmp_path / "prefixes")))
    assert all(again.is_cached(clip) for clip in clips)
    for clip, prefix in zip(clips, encoded, strict=True):
        assert torch.equal(again.encode([clip], [None]).read.prefixes[0].embeds, prefix.embeds)
    assert len(encoded[0]) < len(encoded[1])


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_messages_keep_a_conversation(name: str) -> None:
    assert from_messages(to_messages(CONVERSATIONS[name])) == CONVERSATIONS[name]


def test_a_plain_question_is_a_conversation_of_one_message() -> None:
    assert simplified((SHOWN,)) == "what is it?"
    assert to_messages("what is it?") == to_messages((SHOWN,))
    for conversation in (CONVERSATIONS["text before the video"], CONVERSATIONS["several turns"]):
        assert simplified(conversation) is conversation


def test_the_opening_is_all_before_the_video() -> None:
    assert opening("where?") == opening((SHOWN, *TURNS)) == ()
    assert opening((SYSTEM, SHOWN, *TURNS)) == (SYSTEM, replace(SHOWN, text=""))
    assert opening(CONVERSATIONS["text before the video"]) == (Message("user", "look at this:", 13),)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "tool", "content": [{"type": "video"}]}],
        [{"role": "user", "content": "text"}],
        [{"role": "user", "content": [{"type": "text", "text": "no video"}]}],
        [{"role": "user", "content": [{"type": "audio"}, {"type": "video"}]}],
    ],
)
def test_other_messages_are_refused(messages: list[dict[str, object]]) -> None:
    with pytest.raises(ValueError, match=r"no message|no part|one video"):
        from_messages(messages)
