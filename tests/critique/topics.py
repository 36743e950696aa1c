# ruff: noqa: RUF001 (Chinese has its own comma and question mark)
"""What the made-up writers ask and say: a topic has questions, the values of its fact, and sentences that state it."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from savi.types import Aspect, derive_seed

DIGITS = {"two": "2", "three": "3", "four": "4", "five": "5"}


@dataclass(frozen=True)
class Topic:
    """sentences: with {} in the place of the value."""

    aspect: Aspect
    questions: tuple[str, ...]
    values: tuple[str, ...]
    sentences: tuple[str, ...]

    def fact(self, clip: str) -> str:
        """What is true of a clip, by its id."""
        return self.values[derive_seed("fact", clip, self.questions[0]) % len(self.values)]

    def sentence(self, rng: random.Random, value: str) -> str:
        """A sentence that states the value, numbers as words or digits."""
        said = rng.choice([value, DIGITS[value]]) if value in DIGITS else value
        text = rng.choice(self.sentences).format(said)
        return text[0].upper() + text[1:]

    def stated(self, text: str) -> str | None:
        """The value that a text states; None where it states none, or several."""
        found = [value for value in self.values if self._pattern(value).search(text)]
        return found[0] if len(found) == 1 else None

    def _pattern(self, value: str) -> re.Pattern[str]:
        words = "|".join(re.escape(word) for word in (value, DIGITS.get(value, value)))
        return re.compile(words if value[0] > "\u4e00" else rf"\b(?:{words})\b", re.IGNORECASE)


COLORS = ("red", "blue", "green", "yellow", "white", "black")
PLACES = ("on the table", "under the chair", "by the window", "behind the sofa")

ENGLISH = (
    Topic(
        "spatial",
        ("What color is the man's shirt?", "What is the color of the shirt that the man is wearing?"),
        COLORS,
        ("The shirt is {}.", "It is {}.", "The man wears a {} shirt.", "He has a {} shirt on.", "{}",
         "The video shows a man in a {} shirt."),
    ),
    Topic(
        "spatial",
        ("Where is the cup?", "Where in the room is the cup placed?"),
        PLACES,
        ("The cup is {}.", "It is {}.", "It can be seen {}.", "{}.", "One can see the cup {}.", "It stands {}."),
    ),
    Topic(
        "spatial",
        ("How many dogs are in the yard?", "What is the number of dogs in the yard?"),
        ("two", "three", "four", "five"),
        ("There are {} dogs.", "I can see {} dogs in the yard.", "{} dogs.", "The yard has {} dogs in it.", "{}"),
    ),
    Topic(
        "temporal",
        ("What does the woman do after she opens the door?", "What happens after the woman opens the door?"),
        ("sits down", "waves at the camera", "picks up a bag", "turns off the light"),
        ("She {}.", "The woman {}.", "After that, she {}.", "She opens the door and then {}.", "She {} right away."),
    ),
    Topic(
        "temporal",
        ("Which object is picked up first?", "What does the cook pick up first?"),
        ("spoon", "knife", "pan", "bottle"),
        ("The {} is picked up first.", "The {}.", "First, the {}.", "It's the {} that is picked up first.",
         "The cook picks up the {} before anything else."),
    ),
    Topic(
        "temporal",
        ("In which direction does the ball move?", "How does the ball move after it is kicked?"),
        ("to the left", "to the right", "toward the camera", "away from the camera"),
        ("It moves {}.", "The ball moves {}.", "The ball rolls {}.", "{}.", "It rolls {} over the grass."),
    ),
)  # fmt: skip

CHINESE = (
    Topic(
        "spatial",
        ("男人的衬衫是什么颜色的？", "视频中男人穿的衬衫是什么颜色？"),
        ("红色", "蓝色", "绿色", "黄色", "白色", "黑色"),
        ("衬衫是{}的。", "{}。", "男人穿着一件{}的衬衫。", "视频中的衬衫是{}。", "他的衬衫为{}。"),
    ),
    Topic(
        "spatial",
        ("杯子在哪里？", "杯子放在房间的哪里？"),
        ("桌子上", "椅子下", "窗户旁", "沙发后"),
        ("杯子在{}。", "在{}。", "可以看到杯子在{}。", "它位于{}。", "{}。"),
    ),
    Topic(
        "temporal",
        ("女人开门之后做了什么？", "女人打开门以后发生了什么？"),
        ("坐下", "挥手", "拿起包", "关灯"),
        ("她{}了。", "女人开门之后{}了。", "之后她{}。", "她开门，然后{}。"),
    ),
    Topic(
        "temporal",
        ("最先被拿起的是哪个物品？", "厨师首先拿起了什么？"),
        ("勺子", "菜刀", "平底锅", "瓶子"),
        ("{}。", "最先被拿起的是{}。", "厨师首先拿起了{}。", "他先拿{}。"),
    ),
)

UNTOLD = (
    Topic(
        "spatial",
        ("What is the name of the man in the red shirt?", "What is the man on the left called?"),
        ("Tom", "Peter", "Ahmed", "Luis"),
        ("His name is {}.", "{}.", "The man is called {}."),
    ),
    Topic(
        "spatial",
        ("Which country is the house located in?", "In which city is this place located?"),
        ("France", "Japan", "Kenya", "Peru"),
        ("It is in {}.", "{}.", "The place is in {}."),
    ),
    Topic(
        "temporal",
        ("What does the woman do after the video ends?", "What happens after the end of the video?"),
        ("goes home", "has lunch", "calls a friend", "reads a book"),
        ("She {}.", "The woman {}.", "After that, she {}."),
    ),
    Topic(
        "temporal",
        ("Is the man married before the trip starts?", "Did the man eat breakfast before he came?"),
        ("yes", "no"),
        ("{}.", "{}, he probably did.", "{}, I think so."),
    ),
)
