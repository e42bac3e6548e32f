"""Moderation without a language model: categories of undesired text by a linear model of hashed n-grams."""
