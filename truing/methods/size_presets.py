"""Numbers for a method by the size of the model: where to begin, not what is best.

xs are this project's own small models. The others are published numbers of the nearest size, and between
them, where the comment says so, a step between published ones. They were not run on pretrained weights here.
"""

from collections.abc import Mapping

Numbers = Mapping[str, float | int | bool]
SIZES = ("xs", "1B", "7B", "70B")

SIZE_PRESETS: Mapping[str, Mapping[str, Numbers]] = {
    "sft": {
        "xs": {"learning_rate": 1e-4, "tokens_per_step": 4096},
        # 1B: between Llama 2 chat's 2e-5 (Touvron et al. 2023, section 3.1) and smaller models' higher rates.
        "1B": {"learning_rate": 2e-5, "tokens_per_step": 2**17, "passes": 2, "recompute": True},
        # Tulu 3 (Lambert et al. 2024): 8B 5e-6, 70B 2e-6, 2 passes, 128 rows a step, taken as 1,024 tokens each.
        "7B": {"learning_rate": 5e-6, "tokens_per_step": 2**17, "passes": 2, "recompute": True},
        "70B": {"learning_rate": 2e-6, "tokens_per_step": 2**17, "passes": 2, "recompute": True},
    },
    "rm": {
        "xs": {"learning_rate": 3e-4, "prompts_per_step": 64},
        # Llama 2 (section 3.2.2): 1e-5, and 5e-6 for 70B, one pass, 3 % warm-up, 512 pairs a step.
        "1B": {"learning_rate": 1e-5, "prompts_per_step": 512, "recompute": True},
        "7B": {"learning_rate": 1e-5, "prompts_per_step": 512, "recompute": True},
        "70B": {"learning_rate": 5e-6, "prompts_per_step": 512, "recompute": True},
    },
    "dpo": {
        "xs": {"learning_rate": 1e-4, "prompts_per_step": 64},
        # Rafailov et al. 2023 (appendix B): 1e-6, beta 0.1, 64 pairs. Zephyr 7B (Tunstall et al. 2023): 5e-7, 32 pairs.
        "1B": {"learning_rate": 1e-6, "beta": 0.1, "prompts_per_step": 64, "recompute": True},
        "7B": {"learning_rate": 5e-7, "beta": 0.1, "prompts_per_step": 32, "recompute": True},
        # Tulu 3's rate for 70B, with the beta of the plain loss.
        "70B": {"learning_rate": 2e-7, "beta": 0.1, "prompts_per_step": 128, "recompute": True},
    },
    "grpo": {
        "xs": {
            "learning_rate": 1e-4,
            "prompts_per_update": 16,
            "samples_per_prompt": 8,
            "max_new_tokens": 64,
        },
        # DeepSeekMath 7B (Shao et al. 2024, 4.2): 1e-6, KL 0.04 (the default), 64 answers to each of 16 prompts.
        # 1B takes the same; 70B a lower rate, a step below it.
        "1B": {"learning_rate": 1e-6, "prompts_per_update": 16, "samples_per_prompt": 64, "recompute": True},
        "7B": {"learning_rate": 1e-6, "prompts_per_update": 16, "samples_per_prompt": 64, "recompute": True},
        "70B": {"learning_rate": 5e-7, "prompts_per_update": 16, "samples_per_prompt": 64, "recompute": True},
    },
    "ppo": {
        "xs": {"learning_rate": 1e-4, "prompts_per_update": 64, "minibatches": 2, "max_new_tokens": 64},
        # Ouyang et al. 2022, appendix C.4: batches of 512 in 8 minibatches, KL 0.02 (the defaults). Rates were chosen
        # in 2.55e-6 .. 2.55e-5 (1.3B, 6B) and 2.55e-6 .. 3.74e-6 (175B); the lowest is taken here.
        "1B": {"learning_rate": 2.55e-6, "prompts_per_update": 512, "recompute": True},
        "7B": {"learning_rate": 2.55e-6, "prompts_per_update": 512, "recompute": True},
        "70B": {"learning_rate": 2.55e-6, "prompts_per_update": 512, "recompute": True},
    },
}
"""Method -> size -> the numbers that differ from the method's defaults. Not run on pretrained weights, but for xs."""
