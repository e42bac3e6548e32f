"""Which world this is. Whatever changes what models are raised on or asked moves it."""

WORLD_VERSION = "1"
GROUND = "shown on the organism, not on pretrained weights"
"""The sentence every page about one of these models carries."""
