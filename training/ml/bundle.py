"""Model directories: plain Hugging Face directories plus `chatsite.json`, written last.

Makes them (from nothing, from a foreign base, from a trained model), checks them, publishes them by rename.
Only safetensors are read: nothing from outside is ever unpickled and no code of a model is run.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from training.ml.errors import BadModel
from training.ml.files import sha256, sync
from training.ml.texts import gettext_noop, words
from training.ml.tokenizer import CHAT_TEMPLATE, PLAIN_TEMPLATE

if TYPE_CHECKING:
    from transformers.modeling_utils import PreTrainedModel

FORMAT = 1
MANIFEST = "chatsite.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
# Names of transformers' classes that write text from left to right; looked at by name so that no torch is needed.
CAUSAL = re.compile(r"(ForCausalLM|^(GPT2|OpenAIGPT)LMHeadModel)$")
PARTS = {
    "weights": gettext_noop("weights"),
    "tokenizer": gettext_noop("tokenizer"),
    "template": gettext_noop("chat template"),
}
Precision = Literal["float32", "bfloat16"]
Manifest = dict[str, Any]


# --- the manifest ---


def load_manifest(directory: Path) -> Manifest:
    """Raises BadModel when there is none or its format is newer than this program."""
    path = directory / MANIFEST
    if not path.is_file():
        text = gettext_noop("%(name)s is not a finished model: it has no %(file)s.")
        raise BadModel(text, name=directory.name, file=MANIFEST)
    try:
        manifest: Manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _not_json(path, error) from error
    if manifest.get("format", 0) > FORMAT:
        raise BadModel(
            gettext_noop("%(name)s has format %(format)s, this program reads up to %(known)d: update it."),
            name=directory.name,
            format=manifest["format"],
            known=FORMAT,
            file=MANIFEST,
        )
    return manifest


def _not_json(path: Path, error: ValueError) -> BadModel:
    text = gettext_noop("%(name)s/%(file)s is not valid JSON: %(why)s.")
    return BadModel(text, name=path.parent.name, file=path.name, why=str(error))


def write_manifest(directory: Path, **facts: Any) -> Manifest:
    """Write `chatsite.json` with the hashes of what lies in the directory. `facts` win over what is found."""
    manifest: Manifest = {
        "format": FORMAT,
        "name": directory.name,
        "parent": None,
        "lineage": {},
        "metrics": [],
        "context_length": context_length(directory),
        "template": template_name(directory),
        "hashes": hashes(directory),
        **facts,
    }
    _write_json(directory / MANIFEST, manifest)
    return manifest


def hashes(directory: Path) -> dict[str, str]:
    """sha256 of the weights (all shards in order), the tokenizer and the template."""
    template = directory / "chat_template.jinja"
    return {
        "weights": sha256(*weight_files(directory)),
        "tokenizer": sha256(directory / "tokenizer.json"),
        **({"template": sha256(template)} if template.is_file() else {}),
    }


def verify(directory: Path) -> Manifest:
    """Compare every hash with the manifest. Raises BadModel naming the damaged part."""
    manifest = load_manifest(directory)
    found = hashes(directory)
    for part, expected in manifest["hashes"].items():
        if found.get(part) != expected:
            text = gettext_noop("The %(part)s of %(name)s changed since it was made: restore it.")
            raise BadModel(text, part=words(PARTS.get(part, part)), name=directory.name)
    return manifest


def template_name(directory: Path) -> str:
    path = directory / "chat_template.jinja"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return {CHAT_TEMPLATE: "chatsite", PLAIN_TEMPLATE: "plain"}.get(text, "own")


def context_length(directory: Path) -> int:
    from training.ml.render import CONTEXT_FIELDS

    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    return next((int(config[name]) for name in CONTEXT_FIELDS if isinstance(config.get(name), int)), 0)


def weight_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.safetensors"))


def count_parameters(directory: Path) -> int:
    """From the headers of the weight files, without loading a tensor. Raises BadModel for a damaged header."""
    return sum(_numbers_in(path) for path in weight_files(directory))


def _numbers_in(path: Path) -> int:
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, path.stat().st_size)))
        return sum(math.prod(item["shape"]) for name, item in header.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        text = gettext_noop("The model's %(file)s is damaged: %(cause)s.")
        raise BadModel(text, file=path.name, cause=str(error)) from error


# --- publishing ---


def publish(source: Path, dest: Path, manifest: Manifest | None = None) -> Manifest:
    """Copy a model directory to `dest` so that it is there whole or not at all. `manifest` adds facts to it.

    Raises BadModel when `dest` exists: versions are immutable.
    """
    if dest.exists():
        raise BadModel(gettext_noop("A model named %(name)s exists already."), name=dest.name)
    known = load_manifest(source) if (source / MANIFEST).is_file() else {}
    known.pop("hashes", None)
    with _aside(dest) as draft:
        for path in sorted(source.iterdir()):
            if path.is_file() and path.name != MANIFEST:
                shutil.copyfile(path, draft / path.name)
        return write_manifest(draft, **(known | {"name": dest.name} | (manifest or {})))


@contextmanager
def _aside(dest: Path) -> Iterator[Path]:
    """A directory beside `dest` that takes its place when the block ends well."""
    draft = dest.with_name(f".{dest.name}.{os.getpid()}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        for path in draft.iterdir():
            sync(path)
        if dest.exists():
            shutil.rmtree(dest)
        draft.rename(dest)
        sync(dest.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


# --- making ---


def new_base(
    out_dir: Path,
    tokenizer_dir: Path,
    *,
    layers: int,
    heads: int,
    width: int,
    context: int,
    dropout: float = 0.1,
    seed: int = 42,
) -> Path:
    """A GPT-2 with random weights around a tokenizer of ours. Returns `out_dir`."""
    import torch
    from transformers.models.gpt2 import GPT2Config, GPT2LMHeadModel

    from training.ml.render import read_tokenizer

    tokenizer = read_tokenizer(tokenizer_dir)
    settings = json.loads((tokenizer_dir / "tokenizer_config.json").read_text(encoding="utf-8"))
    end = tokenizer.token_to_id(settings["eos_token"])
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_positions=context,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=0.0,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=tokenizer.token_to_id(settings["pad_token"]),
    )
    torch.manual_seed(seed)
    save_model(GPT2LMHeadModel(config), tokenizer_dir, out_dir, name=out_dir.name)
    return out_dir


def save_model(
    model: PreTrainedModel, files_from: Path, dest: Path, *, precision: Precision = "float32", **facts: Any
) -> Manifest:
    """Write a complete model directory: weights of `model`, tokenizer files of `files_from`, then the manifest."""
    import torch

    from training.ml.render import Renderer

    with _aside(dest) as draft:
        for name in TOKENIZER_FILES:
            if (files_from / name).is_file():
                shutil.copyfile(files_from / name, draft / name)
        dtype = getattr(torch, precision)
        state = _cast(model.state_dict(), dtype)
        before = model.config.dtype
        model.config.dtype = dtype
        try:
            model.save_pretrained(draft, state_dict=state, safe_serialization=True)
        finally:
            model.config.dtype = before
        _write_generation_config(draft, files_from)
        Renderer.load(draft)
        return write_manifest(draft, **({"name": dest.name} | facts))


def _cast(state: dict[str, Any], dtype: Any) -> dict[str, Any]:
    """Tensors in another precision; tied ones stay one tensor, else they would be written twice."""
    done: dict[tuple[int, Any], Any] = {}
    for value in state.values():
        done.setdefault((value.data_ptr(), value.shape), value.detach().to(dtype))
    return {name: done[value.data_ptr(), value.shape] for name, value in state.items()}


def _write_generation_config(draft: Path, files_from: Path) -> None:
    from training.ml.render import Renderer

    (draft / "generation_config.json").unlink(missing_ok=True)
    source = files_from / "generation_config.json"
    if source.is_file():
        shutil.copyfile(source, draft / source.name)
        return
    renderer = Renderer.load(draft)
    _write_json(
        draft / "generation_config.json",
        {"eos_token_id": renderer.stop_ids[0], "pad_token_id": renderer.pad_id, "_from_model_config": False},
    )


# --- judging what others give ---


def inspect_base(directory: Path) -> dict[str, Any]:
    """The config of a usable causal language model. Raises BadModel: what is wrong, where, and how to mend it."""
    if not directory.is_dir():
        text = gettext_noop("%(directory)s is not a directory.")
        raise BadModel(text, directory=str(directory), file=directory.name)
    path = directory / "config.json"
    if not path.is_file():
        text = gettext_noop("%(name)s has no %(file)s: copy the whole model directory.")
        raise BadModel(text, name=directory.name, file=path.name)
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _not_json(path, error) from error
    _require_causal(directory, config)
    _require_weights(directory)
    if not (directory / "tokenizer.json").is_file():
        raise BadModel(
            gettext_noop("%(name)s has no %(file)s: load its tokenizer in transformers and save it again."),
            name=directory.name,
            file="tokenizer.json",
        )
    return config


def _require_causal(directory: Path, config: dict[str, Any]) -> None:
    architectures = config.get("architectures") or []
    if not any(CAUSAL.search(name) for name in architectures):
        raise BadModel(
            gettext_noop(
                "%(name)s is not a causal language model (architectures: %(found)s). "
                "A chat base needs one that writes text, such as GPT2LMHeadModel or LlamaForCausalLM."
            ),
            name=directory.name,
            found=", ".join(architectures) or "–",
            file="config.json",
        )


def _require_weights(directory: Path) -> None:
    if weight_files(directory):
        return
    pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in directory.glob(pattern))
    if pickles:
        raise BadModel(
            gettext_noop(
                "%(name)s has its weights in %(file)s, a pickle file that may run code when opened. "
                "Convert it to safetensors on a machine you do not mind losing: "
                "model.save_pretrained(DIR, safe_serialization=True)."
            ),
            name=directory.name,
            file=pickles[0],
        )
    text = gettext_noop("%(name)s has no weights: no file ends in .safetensors.")
    raise BadModel(text, name=directory.name, file="model.safetensors")
