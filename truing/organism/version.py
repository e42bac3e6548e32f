"""Which world this is, which recipes, which scoring. A result is compared with another only if all three are equal."""

WORLD_VERSION = "1"
"""Moves with whatever bases are pretrained on: then every checkpoint is raised anew."""
RECIPE_VERSION = "1"
"""Moves with what stages are tuned on, and how: then everything but the bases is raised anew."""
SCORING_VERSION = "1"
"""Moves with the oracle, and with what exams ask: then everything is measured anew."""
VERSIONS = {
    "world_version": WORLD_VERSION,
    "recipe_version": RECIPE_VERSION,
    "scoring_version": SCORING_VERSION,
}
"""As they stand in every result."""
GROUND = "shown on the organism, not on pretrained weights"
"""The sentence every page about one of these models carries."""
