"""Plan an audit: how many items does it take to find a loss of a given size, and does a suite hold them?"""

import json
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from truing.audit import Settings, plan_items, power_plan
from truing.cli.app import Exit
from truing.cli.policy import PolicyFlags
from truing.types import InputError


@dataclass
class Command:
    """The options of `truing audit-plan`."""

    suite: Annotated[str, tyro.conf.arg(metavar="SUITES")] = ""
    """Suites to hold against the plan, as in `truing audit`; without, only the numbers are given."""
    dimensions: int = 9
    """How many dimensions share the chance of a false alarm; with suites, theirs are counted."""
    discordance: float = 0.1
    """The share of items on which the two models will differ: of kindred models 0.05 to 0.25."""
    policy: PolicyFlags = field(default_factory=PolicyFlags)
    seed: int = 0
    """Key of the questions of suites that make theirs."""
    json: bool = False
    """Print the plan as one JSON object on the last line."""

    def run(self) -> int:
        """Print how many items a dimension needs, and for suites what theirs would find."""
        policy = self.policy.read()
        try:
            planned = plan_items(self.suite, Settings(seed=self.seed), policy) if self.suite else None
            plan = power_plan(policy, planned, dimensions=self.dimensions, discordance=self.discordance)
        except ValueError as why:  # an option out of its range
            raise InputError(str(why), mend="truing audit-plan --help tells the options") from None
        print("\n".join(plan.lines()))
        if self.json:
            print(json.dumps(plan.to_json()))
        return Exit.passed
