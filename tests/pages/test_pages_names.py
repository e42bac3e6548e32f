"""Short names for models: they stay apart, and say something."""

import pytest

from truing.pages import short_names


@pytest.mark.parametrize(
    ("refs", "names"),
    [
        (["/tmp/models/garden-1-e1045e784971-a69d2a75c8e5"], ["garden-1"]),
        (["runs/tuned/model"], ["tuned/model"]),
        (["runs/tuned/checkpoint-200/adapter"], ["tuned/checkpoint-200/adapter"]),
        (["a/x/garden", "b/x/garden", "c/boats"], ["a/x/garden", "b/x/garden", "boats"]),
        (["same", "same"], ["same", "same"]),
        (["m/garden-0123456789", "m/garden-abcdefabcd"], ["m/garden-0123456789", "m/garden-abcdefabcd"]),
        (["hub:org/name", "organism:xs/1/instruct"], ["hub:org/name", "organism:xs/1/instruct"]),
        (["garden-2024"], ["garden-2024"]),
        ([""], [""]),
    ],
)
def test_a_name_is_as_short_as_it_can_be(refs: list[str], names: list[str]) -> None:
    assert short_names(refs) == names
