"""TempCompass (Liu et al., ACL Findings 2024): four ways to ask about action, direction, speed, order and change.

Replies are read by rules. A judge reads captions, and replies that the rules can't read; without it they are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from savi.evaluation.benchmarks.files import find, in_folders, need
from savi.evaluation.benchmarks.items import Asked, Benchmark, Item, Options, Reading
from savi.evaluation.benchmarks.rows import Row, read_json, read_rows
from savi.types import Clip, SaviError

TASKS = ("multi-choice", "yes_no", "caption_matching", "captioning")
FILES = ("questions/{}.json", "{}.json", "{}/*.parquet", "{}.jsonl", "{}/*.jsonl")
FOLDERS = ("videos", "")

ENDINGS = {
    "multi-choice": "\nPlease directly give the best option:",
    "yes_no": "\nPlease answer yes or no:",
    "caption_matching": "\nPlease directly give the best option:",
    "captioning": "",
}
HEADINGS = ("Sentence ", "Option ", "Caption ")


def load(root: Path, options: Options) -> list[Item]:
    """The items of all tasks whose files are there. Raises SaviError."""
    need(root, [name.format(task) for name in FILES for task in TASKS], "tempcompass")
    choices: dict[tuple[str, str], tuple[str, str]] = {}
    items = []
    for task in TASKS:
        path = find(root, [name.format(task) for name in FILES])
        if path is None:
            continue
        counts: dict[tuple[str, str], int] = {}
        for video, aspect, row in _rows(path):
            number = counts[video, aspect] = counts.get((video, aspect), 0) + 1
            if task == "multi-choice":
                choices.setdefault((video, aspect), (row.text("question"), row.text("answer")))
            items.append(_item(root, task, f"{task}_{video}_{aspect}_{number}", (video, aspect), row, choices))
    return items


def _rows(path: Path) -> Iterator[tuple[str, str, Row]]:
    """(video, aspect, row) of the official file, by video and aspect, or of the hub's flat rows."""
    content = read_json(path) if path.suffix == ".json" else None
    if not isinstance(content, dict):
        for row in read_rows(path):
            yield row.text("video_id"), row.text("dim"), row
        return
    for video, aspects in content.items():
        if not isinstance(aspects, dict):
            raise SaviError(f"{path}, {video}: not a mapping of aspects to questions")
        for aspect, questions in aspects.items():
            for number, fields in enumerate(questions, start=1):
                yield video, aspect, Row.of(f"{path}, {video}, {aspect}, question {number}", fields)


def _item(
    root: Path,
    task: str,
    name: str,
    about: tuple[str, str],
    row: Row,
    choices: dict[tuple[str, str], tuple[str, str]],
) -> Item:
    """choices: the first multi-choice question of each video and aspect, with which a caption is judged."""
    video, aspect = about
    question, answer = row.text("question"), row.text("answer")
    prompt = question + ENDINGS[task]
    if task == "captioning":
        if "mc_question" in row.fields:
            question, answer = row.text("mc_question"), row.text("mc_answer")
        elif about in choices:
            question, answer = choices[about]
    asked = Asked(task, question, option_lines(task, question), answer)
    if wrong := check(asked):
        raise SaviError(f"{row.place}: {wrong}")
    clip = Clip(video, in_folders(root, FOLDERS, (f"{video}.mp4",)))
    return Item(task, question, asked.options, answer, "tempcompass", name, clip, prompt, {"aspect": aspect})


def option_lines(task: str, question: str) -> tuple[str, ...]:
    """The options that a question lists below its first line; yes and no where it lists none."""
    return ("yes", "no") if task == "yes_no" else tuple(line for line in question.split("\n")[1:])


def check(asked: Asked) -> str | None:
    if asked.task not in TASKS:
        return f"the task {asked.task!r} is none of {', '.join(TASKS)}"
    if asked.task == "yes_no":
        return None if asked.answer in ("yes", "no") else f"the answer {asked.answer!r} is neither yes nor no"
    if not asked.answer:
        return "no answer"
    if asked.task == "caption_matching":
        lines = _lines(asked)
        if not lines or any(": " not in line for line in lines):
            return "the question doesn't list its options as lines such as 'Option 1: ...'"
        if asked.answer not in lines:
            return f"the answer {asked.answer!r} is none of the option lines"
    elif asked.answer[0] not in "ABCD":
        return f"the answer {asked.answer!r} doesn't start with a letter A to D"
    return None


def read(asked: Asked, response: str) -> Reading:
    """lmms-eval's rules, which are the benchmark's own."""
    if asked.task == "multi-choice":
        return _read_choice(asked, response)
    if asked.task == "yes_no":
        return _read_yes_no(asked, response)
    if asked.task == "caption_matching":
        return _read_match(asked, response)
    return Reading(None, asks=True)


def _read_choice(asked: Asked, response: str) -> Reading:
    letter = response[:1]
    if response == asked.answer or (letter in tuple("ABCD") and response[1:2] in ("", ".", ")")):
        return Reading(letter, letter == asked.answer[0])
    return Reading(None, asks=True)


def _read_yes_no(asked: Asked, response: str) -> Reading:
    for word in ("yes", "no"):
        if response.lower().startswith(word):
            return Reading(word, word == asked.answer)
    return Reading(None, asks=True)


def _read_match(asked: Asked, response: str) -> Reading:
    """The option whose line, sentence or heading the reply is. The last comparison that fits wins."""
    heads = [line.split(": ")[0] for line in _lines(asked)]
    sentences = [line.split(": ")[1] for line in _lines(asked)]
    fits = [line for line in _lines(asked) if line == response]
    fits += [s for s in sentences if s == response or (") " in response and s == response.split(") ")[1])]
    fits += [head for head in [*heads, *map(_short, heads)] if head in (response, response.replace(".", ""))]
    if not fits:
        return Reading(None, asks=True)
    head, sentence = asked.answer.split(":")[0], asked.answer.split(": ")[1]
    if fits[-1] in (asked.answer, head, sentence, asked.answer.split(": ")[0].split()[-1]):
        return Reading(asked.answer, True)
    meant = [line for line, *forms in zip(_lines(asked), heads, sentences, strict=True) if fits[-1] in (line, *forms)]
    return Reading((meant or [line for line in _lines(asked) if _short(line.split(": ")[0]) == fits[-1]])[0])


def _lines(asked: Asked) -> tuple[str, ...]:
    """The option lines as the question lists them; where it doesn't, as they are given."""
    return tuple(asked.question.split("\n")[1:]) or asked.options


def _short(heading: str) -> str:
    for word in HEADINGS:
        heading = heading.replace(word, "")
    return heading


def choices(asked: Asked) -> list[tuple[str, str]]:
    """What stands for each option as an answer, and its text without heading; [] for captions."""
    if asked.task == "yes_no":
        return [("yes", "yes"), ("no", "no")]
    if asked.task == "caption_matching":
        return [(line, line.split(": ", 1)[1]) for line in _lines(asked)]
    return [(line[0], line[3:]) for line in _lines(asked)] if asked.task == "multi-choice" else []


def judge_prompt(asked: Asked, response: str) -> str:
    """The prompt for a judge. The wording is savi's: figures by another judge or wording don't compare."""
    if asked.task == "captioning":
        return (
            "Answer a multiple-choice question about a video from a description of the video alone. If the description "
            "doesn't tell, or fits none of the options, answer 'None of the choices are correct'.\n"
            "Reply with two lines: 'Reasoning: ...' and 'Answer: <letter>. <text of the option>'.\n\n"
            f"Description: {response}\nQuestion: {asked.question}\n"
        )
    return (
        "Given a question about a video, its right answer and the prediction of a model, say whether the prediction is "
        "right. Reply with 'Correct' or 'Incorrect'.\n\n"
        f"Question: {asked.question}\nRight answer: {asked.answer}\nPrediction: {response}\n"
    )


def judge_verdict(asked: Asked, verdict: str) -> bool:
    """The verdict in a judge's answer, read as the reference reads it."""
    if asked.task != "captioning":
        return verdict.startswith("Correct") or ("Correct" in verdict and "Incorrect" not in verdict)
    answers = [line.replace("Answer:", "").strip() for line in verdict.split("\n") if "Answer" in line]
    answer = answers[-1] if answers else verdict
    letters = sum(answer.count(f"{letter}.") for letter in "ABCD")
    return letters == 1 and answer.split(". ")[0] == asked.answer.split(". ")[0]


def normalize_row(row: Row) -> Asked:
    # lmms-eval has a hyphen in one place, an underscore in another.
    task = row.text("task").removeprefix("tempcompass_").replace("multi_choice", "multi-choice")
    question = row.text("question")
    options = row.texts("options") if row.has("options") else option_lines(task, question)
    return Asked(task, question, options, row.text("answer"))


TEMPCOMPASS = Benchmark(
    name="tempcompass",
    title="TempCompass",
    paper=(68.3, 69.1),
    load=load,
    read=read,
    check=check,
    overall="tasks",
    choices=choices,
    normalize_row=normalize_row,
    judge_prompt=judge_prompt,
    judge_verdict=judge_verdict,
)
