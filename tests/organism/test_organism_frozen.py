"""The world is frozen: what bases were pretrained on does not change under their feet."""

from hashlib import sha256

from truing.organism.corpus import documents, exercises
from truing.organism.text import as_text
from truing.organism.version import WORLD_VERSION

DIGESTS = {"1": "9b25948a89386e5ff9920996723ccf8063331819b788a13cdc5e0b2faa55feca"}
"""World version -> digest of its first documents and exercises."""


def digest() -> str:
    found = sha256()
    for null in (False, True):
        for document in documents(2000, key=1, null=null):
            found.update(as_text(document).encode())
    for exercise in exercises(200, key=1):
        found.update(exercise.encode())
    return found.hexdigest()


def test_a_world_that_changes_gets_a_new_version():
    """Whoever changes the documents raises all checkpoints anew and counts `WORLD_VERSION` up."""
    assert digest() == DIGESTS[WORLD_VERSION]
