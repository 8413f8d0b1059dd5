"""Twitch EN, links: who is a friend of whom?"""

from __future__ import annotations

from benchmarks.tasks import twitch_en
from benchmarks.tasks._links import links

TASK = links(
    twitch_en.TASK,
    title="Twitch EN, links",
    description="Hidden friendships of 7,126 Twitch streamers, predicted by the inner product of "
    "two embeddings.",
)
