"""Comparatives by a language model in this process, checked, and asked for twice at most.

The second time the model samples with a seed of the pair's own, and each slot begins with the first
words of its caption: most bad answers tell of the pictures in the wrong order. Small models get those
words the first time already; it makes them faster too, for what is given is not generated.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property

from pcclip import quality
from pcclip.errors import UsageError
from pcclip.form import compose
from pcclip.interfaces import Captioner
from pcclip.prompts import SHOT_SETS, class_opening, template_from_file
from pcclip.threads import chosen_threads
from pcclip.types import CaptionPair, Comparative, Rejection
from pcclip_llama import engine, models, prompts, slots
from pcclip_llama.engine import Answer, Engine, Job
from pcclip_llama.library import ChatFormat, read_chat_format
from pcclip_llama.native import Context, Sampling
from pcclip_llama.options import LlamaOptions
from pcclip_llama.prompts import Prompt, PromptSet

# Cells for each pair at work beside the shared prefix: two captions, the fixed words, the answer.
# Longer captions still work, with fewer pairs at a time.
_CELLS_PER_PAIR = 64
_SHARED_CELLS = 1024
# What says where or how fast the work is done. A store that is carried to a larger machine must go
# on being used, at the price of a rare near tie.
_NO_MATTER = frozenset(("n_threads", "n_gpu_layers", "main_gpu", "use_mmap", "use_mlock"))

_Key = tuple[int, int]  # index of the pair in the chunk, attempt


class LlamaCaptioner(Captioner):
    """Writes comparatives with a GGUF model through llama.cpp.

    The model is loaded at the first ``describe``, so that a process may still fork before it; the
    fingerprint may read its chat template before. Every ``describe`` starts from a cleared cache: its
    answers depend on its pairs alone.

    Raises:
        MissingDependencyError: llama-cpp-python or the model is missing; the hint is the command that brings it.
        UsageError: there is no such model, or the prompt file is unusable.
    """

    def __init__(self, options: LlamaOptions) -> None:
        self.options = options
        self.chunk_size = options.chunk_size
        self._path = models.resolve(options.model)
        self._parts = template_from_file(options.prompt) if options.prompt else None
        small = options.guide == "auto" and options.model in models.NAMES
        self._guided = options.guide == "always" or small
        self._fingerprint: str | None = None
        self._context: Context | None = None
        self._engine: Engine | None = None
        self._asked: list[Prompt] = []
        self._loaded: tuple[Prompt, ...] = ()

    @property
    def label(self) -> str:
        """``llama`` and the model's name, without the folders it lies in."""
        model = self.options.model
        return f"llama {model if model in models.NAMES or model.startswith('hf:') else self._path.name}"

    @property
    def fingerprint(self) -> str:
        """Hash of the model's content, the prompt, the sampling, and the versions of engine and filter.

        n_parallel, n_ctx and n_batch are in it, for the make-up of a batch decides near ties between
        tokens. n_threads and n_gpu_layers are not: they say which machine does the work.

        Raises:
            PluginError: the model or its chat template cannot be read.
        """
        if self._fingerprint is None:
            sampled = self.options.model_dump(
                mode="json", exclude={"model", "prompt", "template", "guide", *_NO_MATTER}
            )
            parts = {
                "model": models.file_hash(self._path),
                "prompt": self._prompts.text,
                "options": sampled,
                "guided": self._guided,
                "engine": [engine.VERSION, _SHARED_CELLS, _CELLS_PER_PAIR],
                "quality": quality.VERSION,
            }
            canonical = json.dumps(parts, sort_keys=True).encode()
            self._fingerprint = hashlib.blake2b(canonical, digest_size=16).hexdigest()
        return self._fingerprint

    def describe(self, pairs: Sequence[CaptionPair]) -> Iterator[Comparative | Rejection]:
        """Yield exactly one answer for each pair, as each is done.

        Raises:
            PluginError: llama.cpp cannot load the model or fails, its chat template cannot be used, or
                ``close`` or ``describe`` is called before the last answer of this call was read.
        """
        if not pairs:
            return
        running = self._load()
        # Long ones first: a long one that starts last would be decoded alone while the others are done.
        first = (self._job(index, pair, 0) for index, pair in enumerate(pairs))
        jobs = deque(sorted(first, key=lambda job: (-job.prefix, -len(job.prompt))))
        with closing(running.run(jobs)) as answers:
            for answer in answers:
                index, attempt = answer.job.key
                pair = pairs[index]
                text, reason = _judge(pair, answer)
                if reason is None:
                    yield Comparative(pair, text)
                elif attempt == 0 and self.options.retry_temperature > 0:
                    jobs.appendleft(self._job(index, pair, 1))  # next, while the others' prompt is at hand
                else:
                    yield Rejection(pair, reason, text)

    def describe_classes(self, names: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield a sentence about the looks of each class, as each is done; none where it did not end.

        What it says is what the model knows of the word. A prompt of the user's is about pairs and is not used.

        Raises:
            PluginError: as for ``describe``.
        """
        if not names:
            return
        running = self._load((self._class_prompt,))
        jobs = deque(self._class_job(index, name) for index, name in enumerate(names))
        with closing(running.run(jobs)) as answers:
            for answer in answers:
                text = " ".join(answer.texts).strip()
                bare = len(text) <= len(answer.job.slots[0].start.strip())
                usable = not (answer.trouble or bare or quality.has_no_language(text))
                yield names[answer.job.key[0]], [f"{text}."] if usable else []

    def close(self) -> None:
        """Free the model; the next ``describe`` would load it again."""
        if self._engine is not None:
            self._engine.stop()
        if self._context is not None:
            self._context.close()
        self._context = self._engine = None
        self._loaded = ()

    @cached_property
    def _class_prompt(self) -> Prompt:
        format_ = self._chat_format()
        if format_ is None:
            return prompts.of_classes()
        from pcclip_llama import chat

        return chat.of_classes_chat(format_, str(self._path))

    @cached_property
    def _prompts(self) -> PromptSet:
        format_ = self._chat_format()
        if format_ is None:
            return PromptSet([prompts.from_template(self._parts)]) if self._parts else prompts.built_in()
        from pcclip_llama import chat  # jinja2 comes with llama-cpp-python, and completion does without both

        if self._parts:
            return PromptSet([chat.chat_from_template(format_, self._parts, str(self._path))])
        return PromptSet(chat.built_in_chat(format_, SHOT_SETS, str(self._path)))

    def _chat_format(self) -> ChatFormat | None:
        """Return the chat template to ask through, or None where the model is to continue a text."""
        wanted = self.options.template
        if wanted == "completion" or (wanted == "auto" and self.options.model in models.BASE):
            return None
        found = read_chat_format(self._path)
        if found is None and wanted == "chat":
            raise UsageError(
                f"{self._path} has no chat template", "Leave it to continue a text: --captioner-template completion"
            )
        return found

    def _load(self, prompts_: Sequence[Prompt] | None = None) -> Engine:
        """Return the engine for these prompts, by default those about pairs; one set is loaded at a time."""
        prompts_ = self._prompts.prompts if prompts_ is None else prompts_
        if self._loaded != tuple(prompts_):
            self.close()
        if self._engine is None:
            options = self.options
            parallel = options.n_parallel
            self._context = context = Context(
                self._path,
                n_ctx=options.n_ctx or _SHARED_CELLS + parallel * _CELLS_PER_PAIR,
                n_sequences=parallel + len(prompts_),
                n_batch=options.n_batch,
                n_threads=options.n_threads or chosen_threads(),
                n_gpu_layers=options.n_gpu_layers,
                main_gpu=options.main_gpu,
                flash_attn=options.flash_attn,
                cache_type=options.cache_type,
                use_mmap=options.use_mmap,
                use_mlock=options.use_mlock,
            )
            try:
                self._asked = [_with_markers_bridged(context, prompt) for prompt in prompts_]
                prefixes = [context.tokenize(prompt.prefix, start=True, special=True) for prompt in prompts_]
                self._engine = Engine(context, list(map(context.without_double_start, prefixes)), parallel)
                self._loaded = tuple(prompts_)
            except BaseException:
                self.close()
                raise
        return self._engine

    def _job(self, index: int, pair: CaptionPair, attempt: int) -> Job[_Key]:
        assert self._context is not None
        options = self.options
        number = self._prompts.choose(pair)
        prompt = self._asked[number]
        first, second = self._caption(pair.first), self._caption(pair.second)
        guided = attempt > 0 or self._guided
        one = slots.first_slot(first, self._limit(first), guided=guided)
        other = slots.second_slot(second, self._limit(second), guided=guided)
        tokens = self._fed(prompt, first, second, one.start)
        sampling = Sampling(
            options.retry_temperature if attempt else options.temperature,
            options.top_k,
            options.top_p,
            _seed(options.seed, attempt, pair),
        )
        return Job(
            key=(index, attempt),
            prefix=number,
            prompt=tuple(tokens),
            slots=(one, other),
            between=(slots.MIDDLE,),
            sampling=sampling,
        )

    def _class_job(self, index: int, name: str) -> Job[_Key]:
        name = self._caption(name.replace("_", " "))
        slot = slots.sentence_slot(class_opening(name), self.options.max_tokens)
        tokens = self._fed(self._asked[0], name, slot.start, slot.start)
        return Job(key=(index, 0), prefix=0, prompt=tuple(tokens), slots=(slot,), between=())

    def _fed(self, prompt: Prompt, first: str, second: str, start: str) -> list[int]:
        """Return the tokens after the prefix, up to the first one that the model is to write."""
        assert self._context is not None
        if not prompt.bridge:
            return self._context.tokenize_after("\n", prompt.query(first, second) + start)
        tokens = self._context.tokenize_after("\n", prompt.query(first, second))
        tokens += self._context.tokenize_after("a", prompt.bridge, special=True)
        return tokens + self._context.tokenize_after("\n", prompt.opening + start)

    def _caption(self, caption: str) -> str:
        """Return the caption in one line, cut to the token budget.

        A text tower reads 77 tokens or fewer of a comparative, so what a caption says far behind
        could not be said in half of one; and a cache cell spent on it is missing elsewhere.
        """
        assert self._context is not None
        line = " ".join(caption.split())
        budget = self.options.max_caption_tokens
        # No token of a real vocabulary is longer than this on average; it spares tokenizing a book.
        line = line[: budget * 16]
        tokens = self._context.tokenize(line)
        if len(tokens) <= budget:
            return line
        cut = b"".join(self._context.piece(token) for token in tokens[:budget]).decode("utf-8", "ignore").strip()
        return cut.rpartition(" ")[0] or cut

    def _limit(self, caption: str) -> int:
        """Return the most tokens to write about a caption: twice its own and some, else a model has run astray."""
        assert self._context is not None
        return min(self.options.max_tokens, 16 + 2 * len(self._context.tokenize(caption)))


def _with_markers_bridged(context: Context, prompt: Prompt) -> Prompt:
    """Return the prompt with markers after its captions read as such, where a user's file has some there."""
    after = prompt.after_second
    if context.tokenize(after, special=True) == context.tokenize(after):
        return prompt
    return replace(prompt, after_second="", bridge=after + prompt.bridge)


def _judge(pair: CaptionPair, answer: Answer[_Key]) -> tuple[str, str | None]:
    """Return the composed text and the reason to reject it, or None."""
    sides = [text.strip().rstrip(" .,;:!?") for text in answer.texts]
    if answer.trouble or len(sides) != 2:
        return " … ".join(sides), answer.trouble or "not-in-form"
    if not all(sides):
        return compose(*sides), "one-side-missing"
    text = compose(*sides)
    return text, quality.check(pair, text)


def _seed(seed: int, attempt: int, pair: CaptionPair) -> int:
    """Return a 31-bit seed that is the pair's own, whatever else is in its chunk."""
    digest = hashlib.blake2b(f"{seed}/{attempt}/{pair.key}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1
