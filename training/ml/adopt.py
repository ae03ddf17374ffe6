"""Makes a foreign causal model a base of ours: no automatic special tokens, a chat template, proven parity.

A base that has a usable chat template keeps it. One that has none, or whose template renders earlier turns
otherwise than served, gets ChatML when it knows those tokens, else our own tokens, whose rows start at the mean.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Tokenizer, processors

from training.ml import bundle
from training.ml.bundle import Manifest, Precision
from training.ml.errors import BadModel, ParityError
from training.ml.parity import check_parity
from training.ml.records import Dialogue, Message
from training.ml.render import Renderer, read_json, read_tokenizer, token_text
from training.ml.texts import gettext_noop
from training.ml.tokenizer import CHAT_TEMPLATE, END, PAD, SPECIAL_TOKENS, special_token, write_tokenizer

if TYPE_CHECKING:
    from transformers.modeling_utils import PreTrainedModel

CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")
CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Two exchanges in two languages: enough to see a template that treats earlier turns differently.
PROBE = Dialogue(
    messages=(
        Message(role="user", content="Hello <|end|> {{ 1 }}"),
        Message(role="assistant", content="你好！"),
        Message(role="user", content="再说一次"),
        Message(role="assistant", content="Hello again."),
    )
)


def adopt_base(source: Path, dest: Path, *, precision: Precision = "float32") -> Manifest:
    """Write a base at `dest` from a foreign model directory. Raises BadModel when it cannot be one."""
    bundle.inspect_base(source)
    model = _load(source)
    tokenizer = _without_post_processor(read_tokenizer(source))
    settings = read_json(source / "tokenizer_config.json", required=False)
    files = dest.with_name(f".{dest.name}.tokenizer")
    _write_with_template(tokenizer, settings, source, files)
    try:
        _resize(model, read_tokenizer(files))
        _align(model, files)
        return bundle.save_model(model, files, dest, precision=precision, lineage={"adopted_from": source.name})
    finally:
        for path in files.iterdir():
            path.unlink()
        files.rmdir()


def _load(source: Path) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM

    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
    except (ValueError, OSError, RuntimeError) as error:
        text = gettext_noop("%(name)s cannot be loaded: %(why)s.")
        raise BadModel(text, name=source.name, why=str(error), file="config.json") from error
    return model


def _without_post_processor(tokenizer: Tokenizer) -> Tokenizer:
    """Ids that a tokenizer adds by itself ([CLS], <s>) would stand inside a turn."""
    if tokenizer.post_processor is not None:
        tokenizer.post_processor = processors.Sequence([])
    return tokenizer


def _write_with_template(tokenizer: Tokenizer, settings: dict[str, Any], source: Path, files: Path) -> None:
    """Tokenizer files with the first template that passes the probe: its own, ChatML, ours."""
    eos, bos = token_text(settings.get("eos_token")), token_text(settings.get("bos_token")) or None
    own = _own_template(source)
    if own is not None and eos:
        write_tokenizer(tokenizer, files, template=own, eos=eos, pad=_pad(tokenizer, settings), bos=bos)
        if _usable(files, source):
            return
    if all(tokenizer.token_to_id(token) is not None for token in CHATML_TOKENS):
        pad = _pad(tokenizer, settings)
        write_tokenizer(tokenizer, files, template=CHATML_TEMPLATE, eos=CHATML_TOKENS[1], pad=pad, bos=bos)
        if _usable(files, source):
            return
    tokenizer.add_special_tokens([special_token(text) for text in SPECIAL_TOKENS])
    write_tokenizer(tokenizer, files, template=CHAT_TEMPLATE, eos=END, pad=PAD, bos=bos)
    if not _usable(files, source):
        text = gettext_noop("The tokenizer of %(name)s does not give the same ids twice.")
        raise BadModel(text, name=source.name, file="tokenizer.json")


def _own_template(source: Path) -> str | None:
    from training.ml.render import read_template

    try:
        return read_template(source, read_json(source / "tokenizer_config.json", required=False))
    except BadModel:
        return None


def _pad(tokenizer: Tokenizer, settings: dict[str, Any]) -> str:
    """Its own padding token when it differs from the end of text, else a new one."""
    pad, eos = token_text(settings.get("pad_token")), token_text(settings.get("eos_token"))
    if pad and pad != eos and tokenizer.token_to_id(pad) is not None:
        return pad
    tokenizer.add_special_tokens([AddedToken(PAD, special=True, normalized=False)])
    return PAD


def _usable(files: Path, source: Path) -> bool:
    (files / "config.json").write_text((source / "config.json").read_text(encoding="utf-8"), encoding="utf-8")
    try:
        check_parity(Renderer.load(files), [PROBE])
    except (ParityError, BadModel):
        return False
    return True


def _resize(model: PreTrainedModel, tokenizer: Tokenizer) -> None:
    """Rows for new tokens, each the mean of the old ones, so that the model neither loves nor fears them."""
    import torch

    table: Any = model.get_input_embeddings().weight
    wanted, known = tokenizer.get_vocab_size(), table.shape[0]
    if wanted <= known:
        return
    model.resize_token_embeddings(wanted, mean_resizing=False)
    with torch.no_grad():
        ends: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
        for table in {id(layer.weight): layer.weight for layer in ends}.values():
            table[known:] = table[:known].mean(dim=0)


def _align(model: PreTrainedModel, files: Path) -> None:
    """The model's own settings name the same end and padding as its tokenizer."""
    renderer = Renderer.load(files)
    for settings in (model.config, model.generation_config):
        settings.eos_token_id = renderer.stop_ids[0]
        settings.pad_token_id = renderer.pad_id
    value = {"eos_token_id": renderer.stop_ids, "pad_token_id": renderer.pad_id}
    (files / "generation_config.json").write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
