"""Batched decoding gives what transformers gives, whoever joins or leaves at which step."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from tests.ml.tiny_models import CONTEXT, FAMILIES, VOCABULARY, tiny_gpt2
from training.ml import decode, slots
from training.ml.config import SamplingConfig
from training.ml.decode import Decoder, Row, generate, probe
from training.ml.errors import BadModel, PromptTooLong
from training.ml.sampling import Sampler
from training.ml.slots import slot_attention

GREEDY = SamplingConfig(temperature=0, max_tokens=12)


def prompts(*lengths: int, seed: int = 0) -> list[list[int]]:
    numbers = random.Random(seed)
    return [[numbers.randrange(2, VOCABULARY) for _ in range(length)] for length in lengths]


def expected(model: Any, prompt: list[int], count: int) -> list[int]:
    ids = torch.tensor([prompt])
    whole = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=count,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    ids_made: list[int] = whole[0, len(prompt) :].tolist()
    return ids_made


@pytest.fixture(params=FAMILIES)
def model(request) -> Any:
    return FAMILIES[request.param]()


def test_greedy_ids_are_those_of_transformers(model: Any):
    asked = prompts(1, 7, 90, 300, 64, 65)

    answers = generate(model, asked, sampling=GREEDY, stop_ids=[], max_rows=3)

    assert [answer.ids for answer in answers] == [expected(model, prompt, 12) for prompt in asked]


def test_log_probabilities_are_the_models_own(model: Any):
    [prompt] = prompts(20)

    [answer] = generate(model, [prompt], sampling=GREEDY, stop_ids=[])

    whole = torch.tensor([prompt + answer.ids])
    logits = model(input_ids=whole).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    assert answer.logprobs == pytest.approx(
        logits.gather(1, torch.tensor(answer.ids)[:, None])[:, 0].tolist(), abs=1e-3
    )


def test_a_seeded_answer_is_the_same_alone_and_among_others(model: Any):
    sampling = SamplingConfig(temperature=0.9, top_k=30, top_p=0.9, max_tokens=20, seed=5)
    asked = prompts(9, 40, 3, 120, 70, 11, 5)

    among = generate(model, asked, sampling=sampling, stop_ids=[], max_rows=7)
    alone = generate(model, asked[:1], sampling=sampling, stop_ids=[])

    assert alone[0].ids == among[0].ids
    assert len({tuple(answer.ids) for answer in among}) == 7


def test_rows_may_join_and_leave_at_any_step(model: Any):
    """A random life: whatever happens around a row, it goes on as if it were alone."""
    numbers = random.Random(3)
    asked = prompts(*[numbers.randrange(1, 150) for _ in range(14)])
    wanted = [expected(model, prompt, 15) for prompt in asked]
    with slot_attention(model):
        decoder = Decoder(model, max_rows=5)
        running: dict[Row, int] = {}
        got: dict[int, list[int]] = {}
        todo = list(range(len(asked)))
        while todo or running:
            while todo and decoder.free and numbers.random() < 0.7:
                index = todo.pop()
                running[decoder.add(asked[index], Sampler(temperature=0))] = index
                got[index] = []
            for made in decoder.step():
                index = running[made.row]
                got[index].append(made.drawn.id if made.drawn else -1)
            for row, index in list(running.items()):
                if len(got[index]) == 15 or numbers.random() < 0.02:
                    decoder.remove(row)
                    del running[row]

    assert got == {index: wanted[index][: len(ids)] for index, ids in got.items()}
    assert sum(len(ids) == 15 for ids in got.values()) > 5


def test_an_answer_ends_at_its_stop_id_and_at_the_window(model: Any):
    [short, long] = prompts(5, CONTEXT - 3)
    third = expected(model, short, 12)[2]

    stopped, full = generate(model, [short, long], sampling=GREEDY, stop_ids=[third])

    assert (stopped.reason, stopped.ids[-1]) == ("stop", third)
    assert full.reason in ("length", "stop")
    assert len(full.ids) <= 3


def test_a_long_prompt_is_read_beside_those_who_write(model: Any):
    short, long = prompts(4, 200)
    with slot_attention(model):
        decoder = Decoder(model)
        decoder.add(short, Sampler(temperature=0))
        decoder.step()
        newcomer = decoder.add(long, Sampler(temperature=0))
        steps = [[made.row is newcomer for made in decoder.step()] for _ in range(4)]

    assert steps == [[False], [False], [False], [False, True]]


def test_a_prompt_that_does_not_fit_is_refused_with_numbers():
    with pytest.raises(PromptTooLong) as caught:
        generate(tiny_gpt2(), [[1] * CONTEXT], sampling=GREEDY, stop_ids=[])

    assert (caught.value.facts["tokens"], caught.value.facts["limit"]) == (CONTEXT, CONTEXT - 1)


@pytest.mark.parametrize("ids", [[], [VOCABULARY], [-1]])
def test_ids_that_the_model_does_not_have_are_refused(ids: list[int]):
    model = tiny_gpt2()

    with slot_attention(model), pytest.raises(ValueError, match="from 0 to 299"):
        Decoder(model).add(ids, Sampler())


def test_numbers_gone_wrong_end_one_row_only_and_leave_its_slot_clean():
    model: Any = tiny_gpt2()
    with torch.no_grad():
        model.transformer.wte.weight[7] = torch.nan
        model.lm_head.weight = torch.nn.Parameter(torch.randn(VOCABULARY, 32))
    good, other = prompts(6, 9)
    good, other = [[max(8, value) for value in prompt] for prompt in (good, other)]
    with slot_attention(model):
        decoder = Decoder(model, max_rows=4)
        decoder.add(good, Sampler(temperature=0, forbidden=[7]))
        bad = decoder.add([*other, 7, 9], Sampler(temperature=0))
        first = decoder.step()
        decoder.remove(bad)
        decoder.add(other, Sampler(temperature=0, forbidden=[7]))
        second = decoder.step()

    assert [made.drawn is None for made in first] == [False, True]
    assert [made.drawn is None for made in second] == [False, False]


def test_memory_grows_with_need_and_is_given_back():
    model = tiny_gpt2()
    with slot_attention(model):
        decoder = Decoder(model, max_rows=16)
        rows = [decoder.add(prompt, Sampler(temperature=0)) for prompt in prompts(*[30] * 10)]
        decoder.step()
        decoder.step()
        full = decoder.cache.bytes
        for row in rows:
            decoder.remove(row)

    assert full == 2 * 2 * 16 * 4 * 256 * 8 * 4  # keys and values, layers, slots, heads, length, dim, bytes
    assert decoder.cache.bytes == 0


def test_the_model_is_as_before_afterwards():
    model = tiny_gpt2().train()

    generate(model, [[5, 6]], sampling=GREEDY, stop_ids=[])

    assert model.training
    assert model.config._attn_implementation == "sdpa"


def test_every_family_passes_the_probe(model: Any):
    probe(model)


def test_the_probe_finds_damaged_weights_and_wrong_attention(monkeypatch):
    broken: Any = tiny_gpt2()
    with torch.no_grad():
        broken.transformer.h[1].ln_1.weight[3] = torch.nan
    with pytest.raises(BadModel, match="no numbers"):
        probe(broken)

    # A model whose attention needs more than slots can give: here, positions that the decoder gets wrong.
    real = slots.plan
    monkeypatch.setattr(
        decode, "plan", lambda lengths, chunks, **more: real([max(0, n - 2) for n in lengths], chunks, **more)
    )
    with pytest.raises(BadModel, match="another result"):
        probe(tiny_gpt2())


def test_bfloat16_weights_keep_a_float32_cache_on_the_cpu():
    model = tiny_gpt2().bfloat16()
    probe(model)

    with slot_attention(model):
        assert Decoder(model).cache.dtype == torch.float32
