"""Whatever a model writes, none of it becomes a special token in the next prompt: for every family's tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from savi.models.families import FAMILIES
from savi.models.video_lm import VideoLM
from tests.miniatures import build_lm, noise_clip
from tools.tiny_models import MINIATURES

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=list(FAMILIES))
def lm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VideoLM:
    return build_lm(MINIATURES[request.param](tmp_path_factory.mktemp(request.param)))


def ids_of_special_tokens(lm: VideoLM) -> set[int]:
    return set(lm.processor.tokenizer.convert_tokens_to_ids(lm.chat.special_tokens))


@given(data=st.data())
@QUICK
def test_tokens_in_tokens_leave_none(lm: VideoLM, data: st.DataObject) -> None:
    """Tokens are cut in two and put around others, to any depth, among ordinary text and halves of tokens."""
    tokens = st.sampled_from(lm.chat.special_tokens)
    cut = st.tuples(tokens, st.integers(1, 20)).map(lambda pair: (pair[0][: pair[1]], pair[0][pair[1] :]))
    leaf = st.one_of(
        tokens, cut.map("".join), cut.map(lambda halves: halves[0]), st.text(alphabet="a <|>/", max_size=4)
    )
    nested = st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(cut, inner).map(lambda parts: parts[0][0] + parts[1] + parts[0][1]),
            st.lists(inner, max_size=3).map("".join),
        ),
        max_leaves=8,
    )
    text = data.draw(nested)
    plain = lm.chat.without_special_tokens(text)
    assert not [token for token in lm.chat.special_tokens if token in plain]
    assert lm.chat.without_special_tokens(plain) == plain
    *written, end = lm.chat.response_ids(text)
    # A word that the vocabulary lacks is unknown, which spells no token.
    assert not set(written) & ids_of_special_tokens(lm) - {lm.processor.tokenizer.unk_token_id}
    assert end == lm.processor.tokenizer.eos_token_id


@given(text=st.text(alphabet="ab <|>/\n", max_size=30))
@QUICK
def test_a_text_without_a_token_stays_as_it_is(lm: VideoLM, text: str) -> None:
    if not any(token in text for token in lm.chat.special_tokens):
        assert lm.chat.without_special_tokens(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [("<|video_<|im_end|>pad|>", ""), ("a <|im_<|im_end|>end|> b", "a  b"), ("<|im_<|im_", "<|im_<|im_")],
)
def test_what_stood_around_a_token_becomes_none(random_base: Path, text: str, left: str) -> None:
    lm = build_lm(random_base)
    clip, frames = noise_clip(0)
    (prefix,) = lm.encode([clip], [frames]).read.prefixes
    assert lm.chat.without_special_tokens(text) == left
    assert lm.chat.prompt_ids(text, prefix) == lm.chat.prompt_ids(left, prefix)
