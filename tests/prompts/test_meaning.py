"""Whether two answers say the same by their words: what tells them apart, and what does not."""

from __future__ import annotations

import pytest

from savi.prompts.meaning import count_words, has_key_words, say_the_same


@pytest.mark.parametrize(
    ("question", "first", "second"),
    [
        ("Who sits first, the man or the woman?", "The man sits before the woman.", "The woman sits before the man."),
        ("Where is the bus relative to the van?", "The bus is left of the van.", "The van is left of the bus."),
        ("Where is the bus relative to the van?", "The bus is in front of the van.", "In front of the bus is the van."),
        (
            "Which of the red and blue cups does she lift?",
            "She raises the red cup.",
            "She raises the red and blue cup.",
        ),
        ("Why is the man not moving?", "He is stuck.", "He is not stuck."),
        ("What does the display show?", "-5 °C", "5 °C"),
        ("Who waves?", "He waves back.", "She waves back."),
        ("What happens?", "He gives it her.", "She gives it him."),
        ("What price is shown?", "$5", "€5"),
        ("Which language is it?", "It is C++.", "It is C."),
        ("Where does the bus go?", "From A to B.", "From B to A."),
        ("Which cup is full?", "This one is full.", "That one is full."),
        ("Where does it stand?", "It stands here.", "It stands there."),
        ("What happens first?", "He opens the box and then closes it.", "He closes the box and then opens it."),
        ("How many?", "One of the men.", "None of the men."),
        ("Which ones?", "Light blue ones", "Blue lights"),
        ("有几个人？", "有十一个人。", "有十个人。"),
        ("谁开门？", "他开门。", "她开门。"),
    ],
)
def test_small_words_and_their_order_tell_answers_apart(question: str, first: str, second: str) -> None:
    assert not say_the_same(question, first, second)


@pytest.mark.parametrize(
    ("question", "first", "second"),
    [
        ("Which way does the ball roll?", "left", "The ball rolls to the left."),
        ("Can it fly?", "It can't fly high.", "It cannot fly high."),
        ("What does he lift?", "He lifts a cup.", "A cup."),
        ("What is on the table?", "This video shows two cups.", "There are two cups."),
        ("What is on the table?", "A red cup.", "On the table is a red cup."),
        ("What is shown?", "The video shows 3 grey cups.", "Three gray cups"),
    ],
)
def test_what_the_question_has_said_and_spelling_may_differ(question: str, first: str, second: str) -> None:
    assert say_the_same(question, first, second)


def test_key_words_after_a_denial_do_not_count_in_chinese_either() -> None:
    assert has_key_words("他摔倒了", "摔倒")
    assert not has_key_words("他没有摔倒", "摔倒")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The red cup is on the table.", 7),
        ("红色的杯子在桌子上。", 5),
        ("他说 hello world", 3),
        ("红", 1),
        ("", 0),
    ],
)
def test_two_characters_of_chinese_count_as_a_word(text: str, words: int) -> None:
    assert count_words(text) == words
