"""Adds what a reviewer needs to a data directory of the browser tests: two curators and drafts.

CHATSITE_DATA_DIR=... python -m tests.browser.seed_examples
"""

from __future__ import annotations

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "chatsite.settings"

import django

from tests.browser.seed import PASSWORD

CURATORS = ("cora", "kim")
DRAFTS = 120
MORE = 30


def make_curators() -> None:
    from django.contrib.auth.models import User

    from chatsite import roles

    for name in CURATORS:
        roles.grant(User.objects.create_user(name, password=PASSWORD), role="curator")


def make_examples() -> None:
    from training import curation, preferences

    for number in range(1, DRAFTS + 1):
        curation.add_pair_of_qa(f"第{number}种水果放在哪里？", f"放在{number}号货架。", user=None, tags=["shelves"])
    for number in range(1, MORE + 1):
        curation.add_pair_of_qa(f"第{number}座城市在哪里？", f"在{number}号公路旁边。", user=None, tags=["places"])
    prompt = [{"role": "user", "content": "怎么退款？"}]
    preferences.add_pair(source_key="seed:pair", prompt=prompt, chosen="不知道。", rejected="在订单页点“退款”。")


if __name__ == "__main__":
    django.setup()
    make_curators()
    make_examples()
