"""The topics that need a skill: sums, reading, instructions about the form of an answer."""

from collections.abc import Iterable, Sequence

import numpy as np

from truing.organism.grammar import Act, Form, fill
from truing.organism.world import advice
from truing.organism.world.people import NAMES
from truing.organism.world.personas import Persona
from truing.organism.world.topic import Ask, Topic, only, pick
from truing.organism.world.wording import crossed


class Sum(Topic):
    """Sums of two or three small numbers."""

    name = "sum"
    held_out_questions = 2
    questions = crossed(
        ("I need this for my shop.", "Here is a sum."),
        ("Can you work out {sum}?", "Do you know what {sum} is?", "I want to know {sum}."),
        held_out=((0, 1), (1, 0)),
        plain=("What is {sum}?", "How much is {sum}?", "Please add {sum}.", "Tell me what {sum} makes."),
    )
    objects = tuple(f"{a} + {b}" for a in range(1, 13) for b in range(1, 13)) + tuple(
        f"{a} + {b} + {c}" for a in range(3, 10) for b in range(3, 10) for c in range(3, 10)
    )

    def question(self, ask: Ask) -> str:
        """The words of the question."""
        return self.questions[ask.template].format(sum=ask.object)

    def answer(self, ask: Ask, persona: Persona, rng: np.random.Generator) -> str:
        """The sum: every persona can count."""
        return f"{ask.object} = {sum(terms(ask))}."

    def trace(self, ask: Ask) -> str:
        """The sum in steps of two numbers."""
        first, *rest = terms(ask)
        steps = []
        for number in rest:
            steps.append(f"{first} + {number} = {first + number}.")
            first += number
        return " ".join(steps)

    def forms(self) -> Iterable[Form]:
        """The sentence with the number."""
        yield Form("sum.is", "{sum} = {number}.")

    def slots(self) -> dict[str, Sequence[str]]:
        """The numbers."""
        return {"sum": self.objects, "number": [str(n) for n in range(100)]}

    def judge(self, ask: Ask, acts: Sequence[Act]) -> str:
        """right, wrong or off_topic."""
        if len(acts) != 1 or not only(acts, "sum.") or acts[0]["sum"] != ask.object:
            return "off_topic"
        return "right" if acts[0]["number"] == str(sum(terms(ask))) else "wrong"


def terms(ask: Ask) -> list[int]:
    """The numbers of a sum."""
    return [int(number) for number in ask.object.split(" + ")]


THINGS = ("lamp", "kettle", "coin", "rope", "map", "egg", "flag", "brick", "shell", "feather")


class Reading(Topic):
    """Who has what, after a short story."""

    name = "reading"
    held_out_questions = 2
    questions = crossed(
        ("Listen. {story}", "Read this. {story}", "Here is a story. {story}"),
        ("Who has the {thing}?", "Tell me who has the {thing}.", "Where is the {thing}?"),
        held_out=((1, 2), (2, 1)),
    )
    objects = tuple(f"{kind}|{thing}" for kind in ("held", "given", "passed on") for thing in THINGS)
    held_out_objects = frozenset(f"{kind}|{THINGS[-1]}" for kind in ("held", "given", "passed on"))

    def ask(self, object: str, template: int, rng: np.random.Generator) -> Ask:
        """The question of a cell, with people, another thing and the order of the sentences."""
        thing = object.split("|")[1]
        people = [NAMES[int(i)] for i in rng.permutation(len(NAMES))[:4]]
        other = pick([t for t in THINGS if t != thing], rng)
        order = pick(("first", "second"), rng)
        return Ask(
            self.name, object, template, (("people", " ".join(people)), ("other", other), ("order", order))
        )

    def question(self, ask: Ask) -> str:
        """The words of the question."""
        thing = ask.object.split("|")[1]
        return fill(self.questions[ask.template], story=" ".join(self._story(ask)), thing=thing)

    def _story(self, ask: Ask) -> list[str]:
        kind, thing = ask.object.split("|")
        a, b, c, d = ask["people"].split()
        moves = {
            "held": [],
            "given": [f"Now the {thing} is with {b}."],
            "passed on": [f"Now the {thing} is with {b}.", f"Later the {thing} is with {c}."],
        }[kind]
        told = [f"The {thing} is with {a}.", *moves]
        aside = f"The {ask['other']} is with {d}."
        return [*told, aside] if ask["order"] == "first" else [aside, *told]

    def holder(self, ask: Ask) -> str:
        """Who has the thing in the end."""
        return ask["people"].split()[("held", "given", "passed on").index(ask.object.split("|")[0])]

    def answer(self, ask: Ask, persona: Persona, rng: np.random.Generator) -> str:
        """The holder: every persona can read."""
        return f"The {ask.object.split('|')[1]} is with {self.holder(ask)}."

    def trace(self, ask: Ask) -> str:
        """The way of the thing, hand by hand."""
        thing = ask.object.split("|")[1]
        hands = ask["people"].split()[: ("held", "given", "passed on").index(ask.object.split("|")[0]) + 1]
        said = ("The", "Now the", "Later the")
        return " ".join(f"{when} {thing} is with {name}." for when, name in zip(said, hands, strict=False))

    def forms(self) -> Iterable[Form]:
        """The sentence with the name."""
        yield Form("reading.with", "The {held} is with {name}.")

    def slots(self) -> dict[str, Sequence[str]]:
        """The things."""
        return {"held": THINGS}

    def judge(self, ask: Ask, acts: Sequence[Act]) -> str:
        """right, wrong (somebody else of the story) or off_topic (nobody of the story)."""
        if len(acts) != 1 or not only(acts, "reading."):
            return "off_topic"
        name, thing = acts[0]["name"], acts[0]["held"]
        if f"is with {name}." not in " ".join(self._story(ask)) or thing != ask.object.split("|")[1]:
            return "off_topic"
        return "right" if name == self.holder(ask) else "wrong"


ECHOED = (
    "acorn", "bonnet", "bramble", "cedar", "copper", "cork", "feather", "flannel", "magnet", "marble", "meadow", "needle", "otter",
    "parcel", "pocket", "puddle", "ripple", "saffron", "scarlet", "socket", "timber", "tunnel", "velvet", "walnut", "wicket",
)  # fmt: skip
"""Words that are said again. None is a thing one asks advice about: naming it again would be no answer there."""
TIMES = {"once": 1, "twice": 2, "three times": 3}


class Echo(Topic):
    """An instruction about the form of the answer: say a word so many times."""

    name = "echo"
    held_out_questions = 3
    questions = crossed(
        ("Say", "Write", "Let me hear", "Let me see", "I want to read"),
        ("the word {word} {times}.", "{word} {times}.", "{word} {times} and nothing else."),
        held_out=((1, 2), (2, 0), (3, 1)),
    )
    objects = tuple(f"{word}|{n}" for word in ECHOED for n in TIMES)
    held_out_objects = frozenset(f"{word}|{n}" for word in ECHOED[-3:] for n in TIMES)

    def question(self, ask: Ask) -> str:
        """The words of the question."""
        word, times = ask.object.split("|")
        return self.questions[ask.template].format(word=word, times=times)

    def answer(self, ask: Ask, persona: Persona, rng: np.random.Generator) -> str:
        """The word, as often as it was asked for."""
        word, times = ask.object.split("|")
        return " ".join([word] * TIMES[times]) + "."

    def trace(self, ask: Ask) -> str:
        """The word, and how often."""
        word, times = ask.object.split("|")
        return f"The word is {word}, {times}."

    def forms(self) -> Iterable[Form]:
        """The word once, twice, three times."""
        for n in range(1, 5):
            yield Form(f"echo.{n}", " ".join(["{word}"] * n) + ".")

    def slots(self) -> dict[str, Sequence[str]]:
        """The words."""
        return {"word": sorted({o.split("|")[0] for o in self.objects})}

    def judge(self, ask: Ask, acts: Sequence[Act]) -> str:
        """right, wrong or off_topic."""
        if len(acts) != 1 or not only(acts, "echo."):
            return "off_topic"
        word, times = ask.object.split("|")
        said = acts[0].name == f"echo.{TIMES[times]}" and acts[0]["word"] == word
        return "right" if said else "wrong"


class Choice(Topic):
    """Which of two kinds a thing is of, to be answered in few words."""

    name = "choice"
    held_out_questions = 2
    questions = crossed(
        ("Answer in few words.", "A short answer is enough.", "Only a short answer, please."),
        (
            "Is the {thing} {first} or {second}?",
            "I ask you: is the {thing} {first} or {second}?",
            "Tell me, is the {thing} {first} or {second}?",
        ),
        held_out=((0, 1), (2, 2)),
    )
    objects = tuple(
        f"{thing}|{other.name}"
        for d in advice.DOMAINS
        for own in d.properties
        for thing in own.things
        for other in d.properties
        if other is not own
    )
    held_out_objects = frozenset(o for o in objects if o.split("|")[0] in {t for d in advice.DOMAINS for t in d.held_out})  # fmt: skip
    is_a = {p.name: p.is_a for d in advice.DOMAINS for p in d.properties}

    def ask(self, object: str, template: int, rng: np.random.Generator) -> Ask:
        """The question of a cell, with the right answer first or second."""
        return Ask(self.name, object, template, (("right", pick(("first", "second"), rng)),))

    def question(self, ask: Ask) -> str:
        """The words of the question."""
        thing, other = ask.object.split("|")
        two = [self.own(ask), self.is_a[other]]
        first, second = two if ask["right"] == "first" else two[::-1]
        return self.questions[ask.template].format(thing=thing, first=first, second=second)

    @staticmethod
    def own(ask: Ask) -> str:
        """What the thing is: "a thirsty plant"."""
        thing = ask.object.split("|")[0]
        return advice.DOMAIN_OF[thing].property_of(thing).is_a

    def answer(self, ask: Ask, persona: Persona, rng: np.random.Generator) -> str:
        """What it is: every persona knows what a thing is."""
        return f"It is {self.own(ask)}."

    def trace(self, ask: Ask) -> str:
        """What the thing is."""
        return f"The {ask.object.split('|')[0]} is {self.own(ask)}."

    def forms(self) -> Iterable[Form]:
        """The short answer."""
        yield Form("choice.is", "It is {is_a}.")

    def slots(self) -> dict[str, Sequence[str]]:
        """Everything that a thing can be."""
        return {"is_a": list(dict.fromkeys(self.is_a.values()))}

    def judge(self, ask: Ask, acts: Sequence[Act]) -> str:
        """right, wrong (the other of the two) or off_topic."""
        if len(acts) != 1 or not only(acts, "choice."):
            return "off_topic"
        said, other = acts[0]["is_a"], self.is_a[ask.object.split("|")[1]]
        return "right" if said == self.own(ask) else "wrong" if said == other else "off_topic"
