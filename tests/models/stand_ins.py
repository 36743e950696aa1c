"""Checkpoints whose files are as real ones are: the random Qwen2.5-VL with another template, tokenizer or list of ends.

The ways are those of published checkpoints; the texts are our own.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from transformers import AutoModelForImageTextToText, AutoProcessor

TURN = "<|im_start|>{{ m['role'] }}\n"
CONTENT = (
    "{% for part in m['content'] %}{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
)
ASSISTANT = "{% if add_generation_prompt %}<|im_start|>assistant\n"
PLAIN = "{% for m in messages %}" + TURN + CONTENT + "<|im_end|>\n{% endfor %}" + ASSISTANT + "{% endif %}"
SYSTEM = "<|im_start|>system\nYou see a reply and a film.<|im_end|>\n" + PLAIN
"""A system prompt by default, in front of the video; it holds the word that savi looks for."""
OPEN_THOUGHT = PLAIN.removesuffix("{% endif %}") + "<think>\n{% endif %}"
"""The generation prompt opens a thought, and nothing can keep it from that (Qwen3-VL-Thinking)."""
SWITCHED = PLAIN.removesuffix("{% endif %}") + (
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% else %}<think>\n"
    "{% endif %}{% endif %}"
)
"""It opens one unless it is asked not to (Qwen3.5)."""
UNASKED = (
    "{% for m in messages %}"
    + TURN
    + "{% if m['role'] == 'assistant' %}{{ m['content'][0]['text'].split('</think>')[-1] }}"
    "{% else %}" + CONTENT + "{% endif %}<|im_end|>\n{% endfor %}" + ASSISTANT + "{% endif %}"
)
"""It takes thoughts out of earlier turns, and the model begins with one by itself."""
NO_END = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n"
    + CONTENT
    + "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
"""Nothing ends a turn but the token that begins the next (GLM)."""
BLANK = (
    "{% for m in messages %}{{ m['role'] }}: "
    + CONTENT
    + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)
"""A blank between the generation prompt and the reply (SmolVLM2)."""
ONE_TURN = "{% if messages | length > 1 %}{{ raise_exception('one turn, please') }}{% endif %}" + PLAIN


def stand_in(
    source: Path,
    target: Path,
    template: str,
    *,
    tokens: tuple[str, ...] = (),
    eos: str | None = None,
    ends: tuple[str, ...] = (),
) -> Path:
    """A copy of a checkpoint with another chat template.

    tokens: added to the vocabulary, and rows for them to the model. eos: the tokenizer's. ends: what the generation
    configuration lists.
    """
    shutil.copytree(source, target)
    processor = AutoProcessor.from_pretrained(source)
    if tokens:
        processor.tokenizer.add_tokens(list(tokens))
        model = AutoModelForImageTextToText.from_pretrained(source)
        model.resize_token_embeddings(len(processor.tokenizer), mean_resizing=False)
        model.save_pretrained(target)
    if eos:
        processor.tokenizer.eos_token = eos
    processor.chat_template = template
    processor.save_pretrained(target)
    if ends:
        file = target / "generation_config.json"
        ids = processor.tokenizer.convert_tokens_to_ids(list(ends))
        file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token_id": ids}))
    return target
