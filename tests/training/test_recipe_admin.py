"""The recipe editor and the word lists of the admin, as a curator uses them."""

from __future__ import annotations

import io
import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chatsite import roles
from training import curation, recipes
from training.models import DatasetVersion, Recipe, WordList

pytestmark = pytest.mark.django_db


@pytest.fixture
def pages() -> Client:
    roles.make_roles()
    user = User.objects.create_user("cora")
    roles.grant(user, role="curator")
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def url(name: str, *args: object) -> str:
    return reverse(f"admin:training_{name}", args=args)


def posted(steps: list[str], do: str = "", **more: object) -> dict[str, object]:
    """What the editor sends for steps whose keys are their places."""
    names = {f"step-{key}": name for key, name in enumerate(steps)}
    return {"row": list(range(len(steps))), "do": do} | names | more


def steps_of(page: str) -> list[str]:
    return re.findall(r'name="step-\d+" value="([^"]+)"', page)


def edit(pages: Client, data: dict[str, object]) -> str:
    answer = pages.post(url("recipe_add"), data, headers={"X-Editor": "1"})
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_new_recipe_begins_with_the_default_and_tells_why_segmentation_is_off(pages):
    page = pages.get(url("recipe_add")).content.decode()

    assert steps_of(page) == ["whitespace@1", "control@1"]
    assert "mutilated text trains a mute model" in page
    assert 'value="laughter@2"' in page
    assert 'value="laughter@1"' not in page


@pytest.mark.parametrize(
    ("do", "after"),
    [
        ("up:1", ["control@1", "whitespace@1", "nfkc@1"]),
        ("up:0", ["whitespace@1", "control@1", "nfkc@1"]),
        ("down:1", ["whitespace@1", "nfkc@1", "control@1"]),
        ("down:2", ["whitespace@1", "control@1", "nfkc@1"]),
        ("remove:0", ["control@1", "nfkc@1"]),
        ("remove:77", ["whitespace@1", "control@1", "nfkc@1"]),
        ("add", ["whitespace@1", "control@1", "nfkc@1", "emoji@1"]),
        ("explode", ["whitespace@1", "control@1", "nfkc@1"]),
    ],
)
def test_steps_are_added_removed_and_moved(pages, do, after):
    page = edit(pages, posted(["whitespace@1", "control@1", "nfkc@1"], do, new="emoji@1"))

    assert steps_of(page) == after


def test_each_step_shows_what_it_does_to_pasted_text(pages):
    data = posted(["laughter@2", "characters@1"], "look", source="pasted", pasted="哈哈哈<b>好\n坏")
    page = edit(pages, data | {"set-0-to": "笑", "set-1-least": "2", "set-1-most": "9", "set-1-of": "text"})

    assert "<del>哈哈哈</del><ins>笑</ins>&lt;b&gt;好" in page
    assert "1 dropped</b>" in page
    assert "too short" in page
    assert "1 of 2 rows stay." in page


def test_the_steps_are_shown_on_examples_of_the_operator(pages):
    curation.add_pair_of_qa("哈哈哈哈你好", "你好", user=None)

    page = edit(pages, posted(["laughter@2"], "look", **{"set-0-to": "笑"}))

    assert "<del>哈哈哈哈</del><ins>笑</ins>你好" in page


def test_a_wrong_setting_is_told_at_its_step_and_not_saved(pages):
    data = posted(["repeats@2"], "save", name="x", **{"set-0-most": "99"})
    page = pages.post(url("recipe_add"), data).content.decode()

    assert "At most in a row must be a whole number from 1 to 20, not 99." in page
    assert "A step below is set wrong." in page
    assert not Recipe.objects.exists()


def test_a_recipe_is_saved_and_a_change_of_it_is_a_new_one(pages):
    first = pages.post(url("recipe_add"), posted(["repeats@2"], "save", name="one", **{"set-0-most": "2"}))
    recipe = Recipe.objects.get()
    assert first.url == url("recipe_change", recipe.pk)
    assert recipe.steps == [{"step": "repeats@2", "most": 2}]

    pages.post(first.url, posted(["repeats@2", "nfkc@1"], "save", name="two", **{"set-0-most": "2"}))
    changed = Recipe.objects.get(name="two")
    page = pages.get(url("recipe_change", changed.pk)).content.decode()

    assert changed.parent == recipe
    assert steps_of(page) == ["repeats@2", "nfkc@1"]
    assert "one" in pages.get(url("recipe_changelist")).content.decode()

    again = pages.post(
        url("recipe_add"), posted(["repeats@2"], "save", name="three", **{"set-0-most": "2"}), follow=True
    )
    assert "already stored as “one”" in again.content.decode()
    assert Recipe.objects.count() == 2


def test_a_recipe_of_another_library_says_so_and_can_be_saved_anew(pages):
    old = Recipe.objects.create(name="old", steps=[{"step": "simplify@1", "opencc": "0.9"}], sha256="0" * 64)

    page = pages.get(url("recipe_change", old.pk)).content.decode()
    pages.post(url("recipe_change", old.pk), posted(["simplify@1"], "save", name="new", **{"set-0-from": "t2s"}))

    assert "made with opencc 0.9" in page
    new = Recipe.objects.get(name="new")
    assert new.parent == old
    assert recipes.runnable(new).ready


def test_a_list_is_uploaded_counted_shown_and_chosen_in_a_recipe(pages):
    form = {"name": "坏词", "use": "sensitive", "file": io.BytesIO("坏蛋\n<b>x\n".encode())}
    added = pages.post(url("wordlist_add"), form)
    words = WordList.objects.get()
    assert added.url == url("wordlist_change", words.pk)
    page = pages.get(added.url).content.decode()
    assert "&lt;b&gt;x" in page

    data = posted(["sensitive@1"], "save", name="x", **{"set-0-words": words.sha256, "set-0-action": "drop"})
    saved = pages.post(url("recipe_add"), data)

    assert Recipe.objects.get().steps == [{"step": "sensitive@1", "words": words.sha256, "action": "drop"}]
    assert f'<option value="{words.sha256}" selected>坏词 (2)</option>' in pages.get(saved.url).content.decode()
    assert url("recipe_change", Recipe.objects.get().pk) in pages.get(added.url).content.decode()


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"text": ""}, "Choose a file, or write the words."),
        ({"text": "#"}, "There is no word in the list."),
        ({"file": io.BytesIO(b"\xff\xfe\x00")}, "The list is no text"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_on_the_form(pages, form, told):
    page = pages.post(url("wordlist_add"), {"name": "x", "use": "stop"} | form).content.decode()

    assert told in page
    assert not WordList.objects.exists()


def test_the_freeze_form_takes_a_stored_recipe(pages):
    curation.add_pair_of_qa("q", "a", user=None, approve=True)
    recipe = recipes.save(["nfkc@1"], name="mine")[0]
    assert "mine" in pages.get(url("datasetversion_add")).content.decode()

    form = {"name": "v", "kind": "dialogue", "recipe": recipe.pk, "steps": ["whitespace@1"]}
    pages.post(url("datasetversion_add"), form)

    assert DatasetVersion.objects.get().recipe == recipe


def test_who_may_not_add_recipes_may_look_but_not_save(pages):
    user = User.objects.create_user("vera", is_staff=True)
    user.user_permissions.set(
        roles._permissions([("training", "recipe", ("view",))])  # the smallest right there is
    )
    pages.force_login(user)
    recipe = recipes.save(["nfkc@1"], name="mine")[0]
    curation.add_pair_of_qa("secret", "a", user=None)

    page = pages.get(url("recipe_change", recipe.pk)).content.decode()
    saved = pages.post(url("recipe_change", recipe.pk), posted(["width@1"], "save", name="x"))

    assert (saved.status_code, pages.get(url("recipe_add")).status_code) == (403, 403)
    assert "Save as a new version" not in page
    assert "secret" not in page
