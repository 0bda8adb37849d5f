"""The chat captioner: against a real llama.cpp server, and against a server that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny_gguf

import pcclip
from pcclip.comparatives import ComparativeStore
from pcclip.describe import describe
from pcclip.errors import PluginError, UsageError
from pcclip.form import compose
from pcclip.plugins import Registry, registry
from pcclip.testing import CaptionerContract, HashEmbedder
from pcclip.types import CaptionPair, Comparative, Rejection
from pcclip_chat import server as chat_server
from pcclip_chat.captioner import ChatCaptioner
from pcclip_chat.messages import INSTRUCTION, Conversation
from pcclip_chat.options import ChatOptions
from pcclip_chat.sentence import find_sentence
from pcclip_cli.main import main

KEY = "sk-very-secret-0123456789"
THINGS = ("A dog.", "A tree.", "A violin.", "A school bus.", "A horse.", "A key.")
PAIRS = [CaptionPair(one, other) for one in THINGS for other in THINGS if one != other]
PAIR = PAIRS[0]
SENTENCE = "The first image shows a dog, while the second image shows a tree."


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    authorization: str | None
    asked: dict[str, Any]

    @property
    def pair(self) -> CaptionPair:
        found = re.search(r"First image: (.*)\nSecond image: (.*)", self.asked["messages"][-1]["content"])
        assert found
        return CaptionPair(*found.groups())


class Handler(BaseHTTPRequestHandler):
    """Hands every request to the test's own function, which answers, hangs, or hangs up."""

    protocol_version = "HTTP/1.1"
    server: Misbehaving
    request_read: Request

    def setup(self) -> None:
        super().setup()
        with self.server.counting:
            self.server.connections += 1

    def finish(self) -> None:
        with self.server.counting:
            self.server.connections -= 1
        super().finish()

    def do_GET(self) -> None:
        self.send({"data": [{"id": name} for name in self.server.models]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.request_read = Request(self.headers["Authorization"], asked)
        with self.server.counting:
            self.server.requests.append(self.request_read)
            self.server.in_flight += 1
            self.server.most_in_flight = max(self.server.most_in_flight, self.server.in_flight)
            number = len(self.server.requests)
        try:
            self.server.behave(self, number)
        finally:
            with self.server.counting:
                self.server.in_flight -= 1

    @property
    def pair(self) -> CaptionPair:
        return self.request_read.pair

    def truth(self) -> str:
        first, second = (
            caption[0].lower() + caption[1:].rstrip(".") for caption in (self.pair.first, self.pair.second)
        )
        return compose(first, second)

    def say(self, text: str | None = None, finish: str = "stop", **message: Any) -> None:
        content = {"role": "assistant", "content": self.truth() if text is None else text, **message}
        self.send({"choices": [{"index": 0, "message": content, "finish_reason": finish}]})

    def send(self, answer: Any, status: int = 200, **headers: str) -> None:
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def hang(self) -> None:
        """Wait until the client hangs up."""
        assert self.connection.recv(1) == b""
        self.server.hung_up.release()
        self.close_connection = True

    def drop(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class Misbehaving(ThreadingHTTPServer):
    """An OpenAI-compatible server whose every answer the test decides."""

    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave: Callable[[Handler, int], None] = lambda handler, _: handler.say()
        self.models = ["the-model"]
        self.requests: list[Request] = []
        self.counting = threading.Lock()
        self.connections = self.in_flight = self.most_in_flight = 0
        self.hung_up = threading.Semaphore(0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def captioner(self, **options: object) -> ChatCaptioner:
        return ChatCaptioner(ChatOptions.model_validate({"base_url": self.url, "max_retries": 2, **options}))

    def handle_error(self, *_: object) -> None:
        pass  # the client hung up, as it should


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(chat_server, "_FIRST_WAIT", 0.01)
    with Misbehaving() as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pcclip")]


def answers(captioner: ChatCaptioner, pairs: list[CaptionPair]) -> dict[CaptionPair, Comparative | Rejection]:
    """Return the answers by pair, and make sure that each pair got one."""
    given = list(captioner.describe(pairs))
    assert sorted(answer.pair.key for answer in given) == sorted(pair.key for pair in pairs)
    return {answer.pair: answer for answer in given}


def rejected(captioner: ChatCaptioner) -> tuple[str, str]:
    (answer,) = captioner.describe([PAIR])
    assert isinstance(answer, Rejection)
    return answer.reason, answer.text


# --- a server that answers ---------------------------------------------------


def test_every_pair_is_asked_for_once_with_instruction_examples_and_sampling(server: Misbehaving) -> None:
    captioner = server.captioner(max_tokens=99, seed=3, extra_body='{"top_k": 5, "seed": null}')
    found = answers(captioner, PAIRS)
    assert found[PAIR] == Comparative(PAIR, SENTENCE)
    assert all(isinstance(answer, Comparative) for answer in found.values())
    assert len(server.requests) == len(PAIRS)
    asked = next(request.asked for request in server.requests if request.pair == PAIR)
    first, *turns, last = asked.pop("messages")
    assert asked == {"model": "the-model", "max_tokens": 99, "temperature": 0.0, "top_k": 5}
    assert first == {"role": "system", "content": INSTRUCTION}
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 5
    assert turns[-1]["content"].startswith("The first image shows ")
    assert last == {"role": "user", "content": "First image: A dog.\nSecond image: A tree."}
    assert list(captioner.describe([])) == []


@pytest.mark.parametrize("n_parallel", [1, 6])
def test_so_many_requests_are_in_flight_and_no_more(server: Misbehaving, n_parallel: int) -> None:
    together = threading.Barrier(n_parallel)  # no answer before all of them are there

    def behave(handler: Handler, number: int) -> None:
        if number <= len(PAIRS) // n_parallel * n_parallel:
            together.wait(10)
        handler.say()

    server.behave = behave
    assert len(answers(server.captioner(n_parallel=n_parallel), PAIRS)) == 30
    assert server.most_in_flight == n_parallel


def test_answers_come_as_each_is_there(server: Misbehaving) -> None:
    slow = threading.Event()
    server.behave = lambda handler, _: (handler.pair != PAIR or slow.wait(10)) and handler.say()
    coming = server.captioner().describe(PAIRS[:4])
    assert {next(coming).pair for _ in range(3)} == set(PAIRS[1:4])
    slow.set()
    assert next(coming).pair == PAIR


def test_it_works_inside_a_running_event_loop(server: Misbehaving) -> None:
    async def notebook() -> list[Comparative | Rejection]:
        return list(server.captioner().describe(PAIRS[:3]))

    assert len(asyncio.run(notebook())) == 3


def test_the_one_model_is_found_and_several_are_listed(server: Misbehaving) -> None:
    captioner = server.captioner()
    assert captioner.label == "chat the-model"
    server.models = ["one", "another"]
    with pytest.raises(UsageError, match=r"2 models: another, one(.|\n)*--captioner-model NAME"):
        server.captioner().fingerprint  # noqa: B018
    assert len(answers(captioner, PAIRS[:1])) == 1
    assert server.captioner(model="one").label == "chat one"
    server.models = []
    with pytest.raises(UsageError, match="0 models"):
        list(server.captioner().describe(PAIRS[:1]))


def test_making_one_sends_nothing_and_neither_does_a_fingerprint_of_a_named_model() -> None:
    with ChatCaptioner(ChatOptions(base_url="http://127.0.0.1:9/v1", model="m")) as captioner:
        assert captioner.fingerprint == captioner.fingerprint
    with ChatCaptioner(ChatOptions(base_url="http://127.0.0.1:9/v1", max_retries=0)) as captioner:
        assert "127.0.0.1:9" not in repr(captioner)
        with pytest.raises(PluginError, match=r"no connection(.|\n)*--captioner-base-url"):
            captioner.fingerprint  # noqa: B018


def test_fingerprint_follows_what_answers_depend_on(tmp_path: Path) -> None:
    def of(**options: object) -> str:
        return ChatCaptioner(ChatOptions.model_validate({"model": "m", **options})).fingerprint

    (tmp_path / "prompt.txt").write_text("{first} or {second}?")
    assert of() == of(
        base_url="https://elsewhere/v1", api_key_env="OTHER", n_parallel=1, timeout=5, max_retries=0, chunk_size=1
    )
    changes: list[dict[str, object]] = [
        {"model": "n"}, {"seed": 1}, {"temperature": 0.1}, {"retry_temperature": 0}, {"max_tokens": 9},
        {"system": False}, {"extra_body": {"top_k": 1}}, {"prompt": tmp_path / "prompt.txt"},
    ]  # fmt: skip
    assert len({of(), *(of(**change) for change in changes)}) == 9
    assert of(extra_body={"b": 1, "a": None}) == of(extra_body='{"a":null,  "b":1}')


def test_a_bad_answer_is_asked_for_once_more_with_another_seed(server: Misbehaving) -> None:
    server.behave = lambda handler, number: handler.say("I cannot see them." if number == 1 else None)
    assert answers(server.captioner(), [PAIR])[PAIR] == Comparative(PAIR, SENTENCE)
    one, other = (request.asked for request in server.requests)
    assert (one["temperature"], other["temperature"]) == (0.0, 0.7)
    assert one["seed"] != other["seed"]
    server.behave = lambda handler, _: handler.say("The first image shows a tree, while the second image shows a dog.")
    assert rejected(server.captioner())[0] == "order-swapped"
    assert len(server.requests) == 4
    assert rejected(server.captioner(retry_temperature=0))[0] == "order-swapped"
    assert len(server.requests) == 5


def test_answers_that_are_none_get_a_reason(server: Misbehaving, caplog: pytest.LogCaptureFixture) -> None:
    cases: dict[str, Callable[[Handler], None]] = {
        "empty": lambda handler: handler.say(""),
        "empty ": lambda handler: handler.say("<think>Well.</think>"),
        "empty  ": lambda handler: handler.say(content=None),
        "cut-off": lambda handler: handler.say("The first image shows a dog, while the second image shows a", "length"),
        "cut-off ": lambda handler: handler.say("<think>The first image shows a dog, while the second", "length"),
        "refused": lambda handler: handler.say(content=None, refusal="I'm sorry, no."),
        "content-filter": lambda handler: handler.say("", "content_filter"),
        "not-in-form": lambda handler: handler.say("A dog is no tree."),
    }
    for reason, behave in cases.items():
        server.behave = lambda handler, _, behave=behave: behave(handler)
        assert rejected(server.captioner())[0] == reason.strip()
    assert rejected(server.captioner()) == ("not-in-form", "A dog is no tree.")
    assert "1 of 1 answers were cut off at max_tokens=256" in caplog.text
    server.behave = lambda handler, _: handler.say(f"{SENTENCE}\n\nFirst image: A", "length")
    assert answers(server.captioner(), [PAIR])[PAIR] == Comparative(PAIR, SENTENCE)


def test_a_users_prompt_is_the_one_message(server: Misbehaving, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("{x}\nFirst image: {first}\nSecond image: {second}\nGo.")
    captioner = server.captioner(prompt=tmp_path / "prompt.txt")
    pair = CaptionPair("A {second}\n dog.", "A tree\ud800.")
    (answer,) = captioner.describe([pair])
    (request,) = server.requests
    assert request.asked["messages"] == [
        {"role": "user", "content": "{x}\nFirst image: A {second} dog.\nSecond image: A tree?.\nGo."}
    ]
    assert answer.pair == pair
    with pytest.raises(UsageError, match=r"none\.txt"):
        server.captioner(prompt=tmp_path / "none.txt")


def test_instruction_can_go_without_a_system_role() -> None:
    long = "A dog that runs over a wide green field in summer."
    with_role, without = Conversation(), Conversation(system=False)
    for pair in (PAIR, CaptionPair(long, "A tree."), CaptionPair(long, long[2:])):
        first, *rest = without.messages(pair)
        assert first["role"] == "user"
        assert first["content"].startswith(f"{INSTRUCTION}\n\nFirst image: ")
        assert rest == with_role.messages(pair)[2:]
    assert len({json.dumps(with_role.messages(p)[1]) for p in (PAIR, CaptionPair(long, "A tree."))}) == 2


# --- a server that misbehaves ------------------------------------------------

Trouble = Callable[[Handler], None]


def sends(answer: Any, status: int = 200, **headers: str) -> Trouble:
    return lambda handler: handler.send(answer, status, **headers)


def fails(status: int, message: str, kind: str | int = 0) -> Trouble:
    return sends({"error": {"message": message, "type": "error", "code": kind}}, status)


@pytest.mark.parametrize(
    "trouble",
    [
        sends({"error": {"message": "slow down"}}, 429, Retry_After="0"),
        sends(b"", 500),
        sends(b"<html>Bad gateway</html>", 502),
        sends({"error": "loading"}, 503),
        sends({}, 408),
        sends({}, 409),
        Handler.hang,
        Handler.drop,
        sends(b'{"choices": [{"mess'),
        sends({"choices": []}),
        sends(["no", "object"]),
    ],
    ids="429 500 502 503 408 409 hang drop invalid-json no-choices no-object".split(),
)
def test_what_passes_is_tried_again(server: Misbehaving, trouble: Trouble) -> None:
    server.behave = lambda handler, number: trouble(handler) if number <= 2 else handler.say()
    assert answers(server.captioner(timeout=0.5), [PAIR])[PAIR] == Comparative(PAIR, SENTENCE)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("trouble", "message", "requests"),
    [
        (
            fails(401, "bad key"),
            r"401 .*bad key(.|\n)*OPENAI_API_KEY",
            1,
        ),
        (fails(403, "not here"), r"403 .*not here(.|\n)*API_KEY", 2),
        (sends({"detail": "Not Found"}, 404), r"404 .*Not Found(.|\n)*--captioner-model", 1),
        (sends({"error": "what is seed?"}, 400), r"400 .*what is seed(.|\n)*extra-body", 2),
        (
            sends({"message": "context length exceeded"}, 400),
            r"context(.|\n)*--captioner-prompt",
            2,
        ),
        (
            sends({}, 307, Location="https://x/v1"),
            r"redirects to https://x/v1(.|\n)*base-url",
            1,
        ),
        (sends({"error": "quota"}, 429), r"429 .*quota(.|\n)*later", 3),
        (sends({"error": "boom"}, 500), r"500 .*boom(.|\n)*server's own log", 6),
        (sends({"error": "away"}, 503), r"503 .*away", 3),
        (Handler.hang, r"no answer within 0.3 s(.|\n)*--captioner-timeout", 3),
        (Handler.drop, r"no connection(.|\n)*--captioner-base-url", 3),
        (sends(b"<html>Welcome!</html>"), r"not: <html>Welcome!(.|\n)*ends in /v1", 6),
        (sends({"choices": []}), r"completion was expected", 6),
    ],
    ids="401 403 404 400 too-long redirect 429 500 503 hang drop html no-choices".split(),
)
def test_a_server_that_answers_none_ends_the_run(
    server: Misbehaving, trouble: Trouble, message: str, requests: int
) -> None:
    server.behave = lambda handler, _: trouble(handler)
    with pytest.raises(PluginError, match=message):
        list(server.captioner(n_parallel=1, timeout=0.3).describe(PAIRS))
    assert len(server.requests) == requests  # bounded, and 2 or 6 where two harmless captions failed as well


def test_a_server_that_is_gone_ends_the_run_and_keeps_what_was_stored(server: Misbehaving, tmp_path: Path) -> None:
    def behave(handler: Handler, number: int) -> None:
        handler.say() if number <= 10 else handler.drop()

    server.behave = behave
    captioner = server.captioner(chunk_size=4, n_parallel=2)
    with ComparativeStore(tmp_path / "c.sqlite") as store:
        with pytest.raises(PluginError, match="no connection"):
            describe(PAIRS, captioner, store)
        assert sum(store.known(captioner.fingerprint, PAIRS)) == 8
        server.behave = lambda handler, _: handler.say()
        assert len(describe(PAIRS, captioner, store)) == 30
        asked = [request.pair for request in server.requests]
    assert all(asked.count(pair) == 1 for pair in PAIRS[:8])


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (fails(400, "no such words", "policy"), "refused"),
        (fails(400, "flagged", "content_filter"), "content-filter"),
        (fails(403, "flagged by moderation"), "content-filter"),
        (fails(400, "too long", "exceed_context_size_error"), "context-overflow"),
        (fails(500, "Context size has been exceeded.", 500), "context-overflow"),
        (sends({"error": {"message": "exceeds the context window"}}), "context-overflow"),
        (fails(500, "tokenizer crashed"), "server-error"),
        (sends({"choices": []}), "bad-response"),
    ],
)  # fmt: skip
def test_a_pair_that_fails_while_others_work_is_rejected(server: Misbehaving, trouble: Trouble, reason: str) -> None:
    server.behave = lambda handler, _: trouble(handler) if handler.pair == PAIRS[7] else handler.say()
    found = answers(server.captioner(), PAIRS)
    answer = found.pop(PAIRS[7])
    assert isinstance(answer, Rejection)
    assert answer.reason == reason
    assert all(isinstance(answer, Comparative) for answer in found.values())
    passing = reason in ("server-error", "bad-response")
    assert len(server.requests) == 30 + 1 + (2 if passing else 0)


def test_a_pause_that_the_server_asks_for_holds_for_every_request(server: Misbehaving) -> None:
    times: list[float] = []

    def behave(handler: Handler, number: int) -> None:
        times.append(time.monotonic())
        if number == 1:
            return handler.send({}, 429, Retry_After="0.6")
        time.sleep(0.2)  # the other answer comes when the pause has begun
        return handler.say()

    server.behave = behave
    assert len(answers(server.captioner(n_parallel=2), PAIRS[:5])) == 5
    assert len(times) == 6
    assert min(times[2:]) - times[0] >= 0.6
    server.behave = lambda handler, _: handler.send({}, 503, Retry_After=formatdate(time.time() + 3600, usegmt=True))
    with pytest.raises(PluginError, match=r"asks to wait 3[56]\d\d s(.|\n)*goes on later"):
        list(server.captioner().describe(PAIRS))


def test_closing_takes_back_the_requests_in_flight(server: Misbehaving) -> None:
    server.behave = lambda handler, number: handler.say() if number == 1 else handler.hang()
    coming = server.captioner(n_parallel=5).describe(PAIRS)
    next(coming)
    while server.in_flight < 5:
        time.sleep(0.01)
    started = time.monotonic()
    coming.close()
    assert time.monotonic() - started < 2
    for _ in range(5):
        assert server.hung_up.acquire(timeout=5)
    assert len(server.requests) == 6


def test_closing_leaves_no_idle_connection_open(server: Misbehaving) -> None:
    server.behave = lambda handler, _: handler.hang() if handler.pair == PAIR else handler.say()
    coming = server.captioner(n_parallel=4).describe(PAIRS[:4])
    assert len({next(coming).pair for _ in range(3)}) == 3
    assert server.connections >= 2
    coming.close()
    deadline = time.monotonic() + 5
    while server.connections:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_error_takes_back_the_other_requests(server: Misbehaving) -> None:
    def behave(handler: Handler, number: int) -> None:
        if number < 4:
            handler.hang()
        handler.send({}, 401)

    server.behave = behave
    started = time.monotonic()
    with pytest.raises(PluginError, match="401"):
        list(server.captioner(n_parallel=4).describe(PAIRS))
    assert time.monotonic() - started < 10
    for _ in range(3):
        assert server.hung_up.acquire(timeout=5)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A table of captioned pictures."""
    for name in ("dog", "cat", "tree"):
        Image.new("RGB", (8, 8), (len(name), 99, 7)).save(tmp_path / f"{name}.png")
    table = tmp_path / "table.csv"
    table.write_text("image,caption\ndog.png,A dog.\ncat.png,A cat.\ntree.png,A tree.\n")
    return table


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill the process at the end, so that a failed test does not wait for it."""
    try:
        yield
    finally:
        process.kill()


def test_ctrl_c_ends_the_command_at_once(server: Misbehaving, pictures: Path) -> None:
    server.behave = lambda handler, _: handler.hang()
    command = [
        "describe",
        str(pictures),
        "--out",
        "o.sqlite",
        "--captioner",
        "chat",
        "--captioner-base-url",
        server.url,
    ]
    code = "import sys; from pcclip_cli.main import main; main(sys.argv[1:], 'pcclip')"
    with (
        subprocess.Popen(
            [sys.executable, "-c", code, *command], cwd=pictures.parent, stderr=subprocess.PIPE, text=True
        ) as process,
        ended(process),
    ):
        while server.in_flight < 3:
            assert process.poll() is None
            time.sleep(0.05)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert time.monotonic() - started < 5
        assert process.stderr
        assert "interrupted" in process.stderr.read()
    for _ in range(3):
        assert server.hung_up.acquire(timeout=5)


# --- the key -----------------------------------------------------------------


def test_the_key_goes_out_in_the_header_and_nowhere_else(
    server: Misbehaving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CHAT_KEY", f"{KEY}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another")
    refused: list[str] = []

    def behave(handler: Handler, number: int) -> None:
        if number == 3:  # servers quote keys in their errors
            refused.append(handler.headers["Authorization"] or "")
            handler.send({"error": f"key {KEY} may not say this"}, 400)
        else:
            handler.say()

    server.behave = behave
    out = tmp_path / "run"
    monkeypatch.setattr(Registry, "embedder", lambda *_: HashEmbedder())
    settings = {
        "data": "scenes:24", "backbone": "mini", "captioner": "chat", "pairs": 12, "eval_pairs": 6, "max_steps": 1,
        "captioner_options": {"base_url": server.url, "api_key_env": "CHAT_KEY"},
    }  # fmt: skip
    pcclip.finetune(pcclip.make_config(**settings), out)
    assert refused
    assert {request.authorization for request in server.requests} == {f"Bearer {KEY}"}
    with closing(sqlite3.connect(out / "comparatives.sqlite")) as store:
        assert store.execute("SELECT text FROM comparatives WHERE reason = 'refused'").fetchone()[0].count("***") == 1
    files = [path for path in out.rglob("*") if path.is_file()]
    assert out / "run.json" in files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    before = f"{server.url}/chat/completions: 401 Unauthorized: wrong key: {KEY}, "
    padding = "x" * (400 - len(before) - 8)  # a message that is cut first would end in the middle of a key
    server.behave = lambda handler, _: fails(401, f"wrong key: {KEY}, {padding}{KEY}")(handler)
    captioner = server.captioner(api_key_env="CHAT_KEY")
    with pytest.raises(PluginError, match=r"wrong key: \*\*\*") as caught:
        list(captioner.describe(PAIRS))
    for text in (str(caught.value), repr(captioner), repr(captioner.options), captioner.fingerprint, caplog.text):
        assert KEY[:5] not in text


def test_no_variable_no_header_unless_the_user_named_it(server: Misbehaving, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(server.captioner(), PAIRS[:1])
    assert server.requests[0].authorization is None
    monkeypatch.delenv("CHAT_KEY", raising=False)
    with pytest.raises(UsageError, match="CHAT_KEY is not set"):
        list(server.captioner(api_key_env="CHAT_KEY").describe(PAIRS))
    for unusable in ("two words", "schlüssel", "a\x00b".replace("\x00", "\x01")):
        monkeypatch.setenv("CHAT_KEY", unusable)
        with pytest.raises(UsageError, match="CHAT_KEY holds no key") as caught:
            list(server.captioner(api_key_env="CHAT_KEY").describe(PAIRS))
        assert unusable not in str(caught.value)
    assert len(server.requests) == 1


def test_an_unencrypted_key_is_warned_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    # 192.0.2.1 is nobody's (RFC 5737)
    captioner = ChatCaptioner(ChatOptions(base_url="http://192.0.2.1/v1", timeout=0.05, max_retries=0))
    for _ in range(2):
        with pytest.raises(PluginError, match=r"192\.0\.2\.1"):
            captioner.fingerprint  # noqa: B018
    assert caplog.text.count("unencrypted") == 1
    assert KEY not in caplog.text


def test_a_proxy_from_the_environment_is_not_asked_for_local_servers(
    server: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert len(answers(server.captioner(), PAIRS[:2])) == 2


# --- options -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "localhost:8080"}, "base_url is no address"),
        ({"base_url": "http://user:hidden@host/v1"}, "base_url is no address"),
        ({"base_url": "http://host/v1?key=hidden"}, "base_url is no address"),
        ({"base_url": "http://host:port/v1"}, "base_url is no address"),
        ({"api_key_env": "sk-hidden"}, "api_key_env is not the name"),
        ({"extra_body": "{"}, "no json"),
        ({"extra_body": "[1]"}, "no json object"),
        ({"extra_body": {"messages": []}}, "may not set messages"),
        ({"n_parallel": 0}, "n_parallel"),
        ({"api_key": "hidden"}, "unknown option 'api_key'"),
    ],
)
def test_unusable_options_are_named_and_secrets_not_repeated(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        registry().parse_options("captioner", "chat", options)
    assert "hidden" not in str(caught.value)


def test_options_and_help_import_no_http() -> None:
    code = (
        "import sys; from pcclip_cli.main import main\n"
        "try: main(['describe', '--captioner', 'chat', '--help'])\nexcept SystemExit: pass\n"
        "sys.exit(str({'torch', 'numpy', 'httpx2', 'anyio', 'asyncio', 'ssl'} & set(sys.modules) or '') or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--captioner-base-url" in done.stdout


# --- what models write round the sentence ------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        SENTENCE,
        f'"{SENTENCE}"',
        f"“{SENTENCE}”\n",
        f"**{SENTENCE}**",
        f"<think>\nThe first image shows a cat, while the second image shows a cow.\n</think>\n\n{SENTENCE}",
        f"Hm. The first is a dog.\n</think>\n{SENTENCE}",
        f"```text\n{SENTENCE}\n```",
        f"Sure! Here is the sentence:\n\n{SENTENCE}\n\nLet me know if you need more.",
        f"{SENTENCE}\nNote: I only used the captions.",
        f"Answer: {SENTENCE}",
        f'1. "{SENTENCE}"',
        f"{SENTENCE}\n\n{SENTENCE}",
        "The first image shows a dog,\nwhile the second image shows a tree.\n\nI hope this helps!",
    ],
)
def test_the_sentence_is_taken_out(answer: str) -> None:
    assert find_sentence(answer) == SENTENCE


def test_what_is_said_stays_as_it_is() -> None:
    quoted = 'The first image shows a sign saying "STOP", while the second image shows a sign saying "GO".'
    assert find_sentence(quoted) == quoted
    assert find_sentence(f'"{quoted}"') == quoted
    other = SENTENCE.replace("dog", "cat")
    assert find_sentence(f"{SENTENCE}\n{other}") == f"{SENTENCE} {other}"  # which one, nobody knows
    assert find_sentence("A dog.\n\nNo tree.") == "A dog. No tree."
    assert find_sentence("<think>no end") == find_sentence("") == ""


# --- a real server -----------------------------------------------------------


@contextmanager
def llama_server(model: Path, log: Path) -> Iterator[str]:
    """Run llama-cpp-python's server on a free port and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--n_ctx", "2048", "--n_threads", "1", "--n_threads_batch", "1"]
    command += ["--model_alias", model.stem]
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            deadline = time.monotonic() + 60
            while True:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


@pytest.fixture(scope="module")
def reciting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server whose model always writes the same sentence."""
    folder = tmp_path_factory.mktemp("server")
    # pieces of the sentence, each there once; llama-cpp-python drops a piece of more than 32 bytes
    pieces = ["▁The▁first▁image", "▁shows▁a▁dog,", "▁while▁the▁second", "▁image▁shows▁a▁tree."]
    # the template that llama-cpp-python takes for a model without one ends in [/INST]
    tiny_gguf.write_chain(folder / "reciting.gguf", ["]", *pieces], words=pieces)
    with llama_server(folder / "reciting.gguf", folder / "server.log") as url:
        yield url


def test_a_real_server_answers(reciting: str) -> None:
    captioner = ChatCaptioner(ChatOptions(base_url=reciting, n_parallel=4))
    assert captioner.label == "chat reciting"
    found = answers(captioner, PAIRS)
    assert found[PAIR] == Comparative(PAIR, SENTENCE)
    turned = found[PAIR.reversed]
    assert isinstance(turned, Rejection)
    assert (turned.reason, turned.text) == ("order-swapped", SENTENCE)
    assert sum(isinstance(answer, Comparative) for answer in found.values()) == 1


def test_a_real_servers_refusals_are_told(reciting: str) -> None:
    endless = CaptionPair("dog " * 5000, "A tree.")
    found = answers(ChatCaptioner(ChatOptions(base_url=reciting, max_retries=0)), [endless, PAIR])
    assert isinstance(found[PAIR], Comparative)
    refused = found[endless]
    assert isinstance(refused, Rejection)
    assert refused.reason == "context-overflow"
    with pytest.raises(PluginError, match=r"404 .*Not Found(.|\n)*--captioner-base-url"):
        ChatCaptioner(ChatOptions(base_url=f"{reciting}/v2")).fingerprint  # noqa: B018


def test_the_command_line_describes_with_a_real_server(
    reciting: str, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    out = pictures.parent / "out" / "c.sqlite"
    args = ["describe", str(pictures), "--out", str(out), "--captioner", "chat", "--captioner-base-url", reciting]
    done = CliRunner().invoke(main, [*args, "--format", "json"])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 3
    assert {row["text"] for row in rows} == {SENTENCE}
    again = CliRunner().invoke(main, [*args, "--format", "json"])
    assert again.stdout == done.stdout
    assert not [path for path in out.parent.iterdir() if KEY.encode() in path.read_bytes()]
    wrong = CliRunner().invoke(main, [*args[:-1], "http://127.0.0.1:9/v1", "--captioner-max-retries", "0"])
    assert isinstance(wrong.exception, SystemExit)
    assert wrong.exit_code == 1
    assert "no connection" in wrong.stderr
    assert "--captioner-base-url" in wrong.stderr


def test_gemma_behind_a_real_server_describes_real_captions(tmp_path: Path) -> None:
    from pcclip_llama import models

    pairs = [
        CaptionPair("A marmot.", "A violin."),
        CaptionPair("A white horse.", "A baby sheep (a lamb)."),
        CaptionPair("A key.", "Two wild boars."),
    ]
    with llama_server(models.resolve("gemma3-270m"), tmp_path / "server.log") as url:
        found = answers(ChatCaptioner(ChatOptions(base_url=url, n_parallel=2, max_tokens=48)), pairs)
    accepted = [answer.text for answer in found.values() if isinstance(answer, Comparative)]
    assert len(accepted) >= 2
    assert all(re.fullmatch(r"The first image shows .+, while the second image shows .+\.", text) for text in accepted)


# --- how classes look ---------------------------------------------------------


def test_classes_are_described_and_what_is_no_such_sentence_is_left_out(server: Misbehaving) -> None:
    said = {
        "old owl": '<think>feathers</think>"An old owl has grey feathers."',
        "key": "Keys open doors.",
        "dog": "A dog has a tail",
        "tree": "",
    }

    def behave(handler: Handler, _: int) -> None:
        question = handler.request_read.asked["messages"][-1]["content"]
        name = re.fullmatch(r"Thing: (.*)\nBegin with: .* has", question)[1]
        handler.say(said[name])

    server.behave = behave
    found = dict(server.captioner().describe_classes(["old_owl", "key", "dog", "tree"]))
    assert found == {"old_owl": ["An old owl has grey feathers."], "key": [], "dog": [], "tree": []}
    first, *turns, _ = server.requests[0].asked["messages"]
    assert first["role"] == "system"
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 5
    assert turns[1]["content"].startswith("A zebra has black and white stripes")


def test_a_server_that_is_gone_is_no_silent_class(server: Misbehaving) -> None:
    server.behave = lambda handler, _: handler.send({"error": {"message": "no"}}, 401)
    with pytest.raises(PluginError, match="401"):
        list(server.captioner().describe_classes(["owl"]))


@pytest.fixture(scope="class")
def truthful(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give a contract the address of a server that answers for each pair and each class."""

    def behave(handler: Handler, _: int) -> None:
        opening = re.search(r"\nBegin with: (.*)", handler.request_read.asked["messages"][-1]["content"])
        handler.say(f"{opening[1]} something grey." if opening else None)

    with pytest.MonkeyPatch.context() as patch, Misbehaving() as serving:
        patch.delenv("OPENAI_API_KEY", raising=False)
        serving.behave = behave
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
        thread.start()
        request.cls.options = {"base_url": serving.url, "max_retries": 0, "n_parallel": 3}
        yield
        serving.shutdown()
        thread.join()


@pytest.mark.usefixtures("truthful")
class TestContract(CaptionerContract):
    name = "chat"
