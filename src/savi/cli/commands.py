"""The commands of savi, each with one line."""

from __future__ import annotations

from difflib import get_close_matches

COMMANDS = {
    "fit": "align a model on videos without labels, or resume a run; without options, the demo",
    "validate": "measure a base or a run on the development set of the rendered world, or on benchmarks",
    "test": "measure it on the test set, which no fit and no validate looks at: for reported figures",
    "ask": "ask a run's base and its aligned model a question about a video",
    "predict": "write the replies of a run or a checkpoint to a file of questions about videos; resumable",
    "view": "look at a run in a browser, also while it is going on, or write its page to a folder",
    "export": "write a run's adapter or merged model to a folder, with a model card",
    "check": "check a checkpoint before a long run: files, template, tokens, memory, and with its weights exactness",
    "score": "score the replies in a file as lmms-eval does; needs no model",
    "compare": "compare two evaluations question by question; needs no model",
}
"""Every command with its line in the help."""


def overview() -> str:
    """What `savi --help` prints: every command with one line."""
    width = max(map(len, COMMANDS))
    return "\n".join(
        (
            "usage: savi COMMAND ...",
            "",
            "Video language models that align themselves by self-criticism.",
            "",
            "commands:",
            *(f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()),
            "",
            "`savi COMMAND --help` lists the options of a command.",
        )
    )


def unknown(word: str) -> str:
    """The complaint about a word in the place of a command."""
    known = f"the commands are {', '.join(COMMANDS)}"
    if word.startswith("-"):
        return f"{word}: a command comes first; {known}"
    close = get_close_matches(word, COMMANDS, n=1)
    return f"{word}: no such command; " + (f"did you mean {close[0]}?" if close else known)
