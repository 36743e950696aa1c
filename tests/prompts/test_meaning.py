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
        ("Where does the cat sit at the end?", "On the windowsill.", "Under the windowsill."),
        (
            "How many birds are on the wire?",
            "There are five birds on the wire.",
            "There are at least five birds on the wire.",
        ),
        ("How many birds are on the wire?", "Five birds.", "Fifteen birds."),
        ("How many birds are on the wire?", "Two.", "A couple of birds, three perhaps."),
        ("Which way does the train move?", "From left to right.", "From right to left."),
        ("What does the man do before he leaves?", "He turns off the light.", "He turns on the light."),
        (
            "What does the man do before he leaves?",
            "He locks the door and then waves.",
            "He waves and then locks the door.",
        ),
        ("Does the woman open the window?", "Yes.", "No."),
        ("Does the woman open the window?", "No, she doesn't open the window.", "She opens the window."),
        (
            "Who pushes the cart?",
            "The man in the blue shirt pushes the cart.",
            "The man in the shirt pushes the blue cart.",
        ),
        ("Who pushes the cart?", "The girl's brother.", "The brother's girl."),
        ("Who pushes the cart?", "The tall man.", "The man who is not tall."),
        ("What is the color of the ball?", "Dark red", "Red"),
        ("What is the color of the ball?", "Red, not white.", "White, not red."),
        ("When does the bell ring?", "At 0:15.", "At 0:51."),
        ("When does the bell ring?", "Before the class begins.", "After the class begins."),
        ("When does the bell ring?", "As soon as the class ends.", "Just before the class ends."),
        ("What happens to the glass?", "It falls and breaks.", "It falls but doesn't break."),
        ("What happens to the glass?", "The glass is filled with water.", "The glass fills the water."),
        ("Which player scores?", "Number 10.", "Number 1."),
        ("Is the lamp on the left or the right of the bed?", "Left of the bed", "The bed is left of it"),
        ("她什么时候关灯？", "她出门之前关灯。", "她出门之后关灯。"),
        ("盘子里有几个苹果？", "两个", "十二个"),
        ("谁在追谁？", "猫追狗。", "狗追猫。"),
        ("球是什么颜色的？", "不是红色。", "是红色。"),
        ("门是开着的还是关着的？", "开着的", "门是关着的"),
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
        ("Where does the cat sit at the end?", "On the windowsill.", "At the end, the cat sits on the windowsill."),
        ("How many birds are on the wire?", "There are five birds on the wire.", "5"),
        ("Does the woman open the window?", "Yes.", "Yes, the woman opens the window."),
        ("Which player scores?", "Player number ten.", "Number 10"),
        ("她什么时候关灯？", "出门之前。", "她在出门之前关灯。"),
        ("盘子里有几个苹果？", "三个", "盘子里有3个苹果。"),
        ("球是什么颜色的？", "红色的。", "球是红色。"),
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
