"""Phrasings of a language model behind a real server: paid for once, kept within a budget."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import ROOT
from pairs import NAMES, lines_of, write_csv

import keras_vngpt
from keras_vngpt.augmentation.language_model import QUESTIONS, is_vietnamese, judge
from keras_vngpt.errors import UserError


class Endpoint(ThreadingHTTPServer):
    """An OpenAI-compatible server that says what `reply(question)` gives, after failures."""

    daemon_threads = True

    def __init__(self, reply, failures=0, seconds=0.0, status=500):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply, self.failures, self.seconds, self.status = reply, failures, seconds, status
        self.asked, self.answered, self.lock = Counter(), Counter(), threading.Lock()
        self.open = self.most_open = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = body["messages"][-1]["content"].split("\n\n")[1]
        with server.lock:
            server.asked[question] += 1
            server.open += 1
            server.most_open = max(server.open, server.most_open)
            failing = server.asked[question] <= server.failures
        time.sleep(server.seconds)
        content = {"role": "assistant", "content": server.reply(question)}
        answer = {"error": {"message": "try later"}} if failing else {
            "id": "1", "object": "chat.completion", "created": 0, "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": content}],
            "usage": {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100},
        }  # fmt: skip
        data = json.dumps(answer).encode()
        with server.lock:
            server.open -= 1
            server.answered[question] += not failing
        try:
            self.send_response(server.status if failing else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            pass  # the client was killed

    def log_message(self, *_):
        pass


def two_phrasings(question):
    bare = question.rstrip("?.")
    return f"Dưới đây là hai cách:\n1. Theo bạn thì {bare}?\n2. Bạn hãy cho biết {bare}?"


@pytest.fixture
def endpoint():
    servers = []

    def start(*arguments, **named):
        servers.append(Endpoint(*arguments, **named))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def questions(tmp_path):
    pairs = [(f"Đi Huế {n} ngày nên ăn gì?", f"Ăn bún bò {n} lần.") for n in range(2, 14)]
    return write_csv(tmp_path / "questions.csv", pairs)


def ask(endpoint, questions, tmp_path, answers=0, **llm):
    output = tmp_path / "set.jsonl"
    llm = {"base_url": endpoint.url, "model": "m", "cache": str(tmp_path / "cache"), **llm}
    figures = keras_vngpt.augment(
        data=[questions], output=str(output), variants=0, subject="travel", answers=answers, llm=llm
    )
    return figures, lines_of(output)


def test_a_language_model_adds_phrasings_several_at_once(endpoint, questions, tmp_path):
    server = endpoint(two_phrasings, seconds=0.05)
    figures, lines = ask(server, questions, tmp_path)
    assert len(lines) == 12 * 3 and figures["origins"] == {"original": 12, "language model": 24}
    assert "Theo bạn thì Đi Huế 2 ngày nên ăn gì?" in [x["messages"][1]["content"] for x in lines]
    assert len({line["group"] for line in lines}) == 12
    assert 2 <= server.most_open <= 4
    assert figures["language_model"]["tokens"] == 1200


def test_failures_are_tried_again_and_a_rerun_pays_nothing(endpoint, questions, tmp_path):
    server = endpoint(two_phrasings, failures=1)
    _, lines = ask(server, questions, tmp_path, concurrency=12)
    assert len(lines) == 36 and set(server.asked.values()) == {2}
    figures, again = ask(server, questions, tmp_path)
    assert again == lines and set(server.asked.values()) == {2}
    assert figures["language_model"] == {
        "answers": 12, "from cache": 12, "requests": 0, "tokens": 0, "beyond budget": 0,
    }  # fmt: skip


@pytest.mark.parametrize("status, retries", [(500, 1), (401, 5)])
def test_what_goes_on_failing_is_one_line_and_nothing_is_written(
    endpoint, questions, tmp_path, status, retries
):
    server = endpoint(two_phrasings, failures=99, status=status)
    with pytest.raises(UserError) as caught:
        ask(server, questions, tmp_path, max_retries=retries, concurrency=2)
    (line,) = caught.value.faults
    assert line.startswith(f"llm: {server.url}: ") and "try later" in line and "\n" not in line
    assert not (tmp_path / "set.jsonl").exists()
    assert sum(server.asked.values()) <= 2 * (retries + 1)


def test_an_endpoint_that_is_not_there_is_one_line(questions, tmp_path):
    class Nowhere:
        url = "http://127.0.0.1:9/v1"

    with pytest.raises(UserError, match=r"^llm: http://127.0.0.1:9/v1: Connection error"):
        ask(Nowhere, questions, tmp_path, max_retries=0)


def test_a_client_that_is_not_installed_is_one_line(questions, tmp_path, monkeypatch):
    class Unasked:
        url = "http://127.0.0.1:9/v1"

    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UserError) as caught:
        ask(Unasked, questions, tmp_path)
    assert caught.value.faults == ['llm.model: needs openai. pip install "keras_vngpt[llm]"']
    assert not (tmp_path / "set.jsonl").exists()


@pytest.mark.parametrize("budget", [{"max_requests": 5}, {"max_tokens": 550}])
def test_the_budget_is_kept(endpoint, questions, tmp_path, budget):
    server = endpoint(two_phrasings, seconds=0.02)
    figures, lines = ask(server, questions, tmp_path, **budget)
    assert sum(server.asked.values()) == 5 and len(lines) == 12 + 10
    assert figures["language_model"]["beyond budget"] == 7
    ask(server, questions, tmp_path, **budget)  # the next five
    assert sum(server.asked.values()) == 10 and set(server.asked.values()) == {1}


def test_answers_of_no_use_are_dropped_and_counted(endpoint, tmp_path):
    replies = {
        "Ăn gì ở Huế?": "",
        "Ăn gì ở Hội An?": "What should I eat in Hội An?\nHội An nên ăn món gì?",
        "Ăn gì ở Sa Pa?": "ăn gì ở sa pa ?\nĂn thắng cố." + "\nTới Sa Pa nên ăn gì?" * 2,
        "Ăn gì ở Đà Lạt?": "Ăn gì ở Nha Trang?\nTắm biển ở Đà Lạt xong ăn gì?",
    }
    server = endpoint(replies.__getitem__)
    pairs = [(q, "Ăn thắng cố.") for q in replies]
    figures, lines = ask(server, write_csv(tmp_path / "a.csv", pairs), tmp_path)
    added = [x["messages"][1]["content"] for x in lines if x["origin"] == "language model"]
    assert added == ["Hội An nên ăn món gì?", "Tới Sa Pa nên ăn gì?"]
    assert figures["dropped"] == {
        "language model: empty": 1,
        "language model: not Vietnamese": 1,
        "language model: a copy": 3,
        "language model: another name or number": 1,
    }
    assert figures["rejected"] == 1


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Cho mình hỏi giá vé Bà Nà?", True),
        ("How much is a ticket to Đà Lạt?", False),
        ("Où est-ce que je peux manger à Huế ?", False),
        ("去大叻的票多少钱？", False),
        ("Gia ve Ba Na bao nhieu?", False),
        ("Huế hay Đà Nẵng?", True),
    ],
)
def test_vietnamese_is_known_by_its_syllables(text, expected):
    assert is_vietnamese(text, NAMES) == expected


def test_a_phrasing_keeps_names_and_numbers():
    def judged(phrasing):
        return judge(QUESTIONS, phrasing, "Đi Huế 2 ngày nên ăn gì?", "Bún bò.", NAMES)

    assert judged("- tới huế 2 ngày thì nên ăn gì") == ("Tới Huế 2 ngày thì nên ăn gì?", "")
    assert judged("Tới Huế 3 ngày nên ăn gì?")[1] == "another name or number"


def test_wordings_of_an_answer_keep_its_facts(endpoint, tmp_path):
    question, answer = "Vé vào Đại Nội giá bao nhiêu?", "Vé vào Đại Nội giá 200.000 đồng."
    replies = {
        question: "Giá vé Đại Nội thế nào?\nVào Đại Nội mất bao nhiêu tiền?",
        answer: "Bạn mua vé vào Đại Nội với giá 200.000 đồng nhé.\n"
        "Vé vào Đại Nội giá 250.000 đồng.\nVé vào Ngọ Môn giá 200.000 đồng.\n"
        "Vé vào Đại Nội không phải giá 200.000 đồng.",
    }
    server = endpoint(replies.__getitem__)
    data = write_csv(tmp_path / "a.csv", [(question, answer)])
    figures, lines = ask(server, data, tmp_path, answers=1)
    assert figures["dropped"]["language model: another name or number"] == 3
    assert [(x["answer_origin"], x["messages"][-1]["content"]) for x in lines[1:]] == [
        ("original", answer),
        ("language model", "Bạn mua vé vào Đại Nội với giá 200.000 đồng nhé."),
    ]


def test_killed_and_run_again_it_pays_nothing_twice(endpoint, questions, tmp_path):
    server = endpoint(two_phrasings, seconds=0.3)
    command = [sys.executable, "-m", "keras_vngpt.augment", "--data", questions, "--variants", "0"]
    command += ["--output", str(tmp_path / "set.jsonl"), "--llm.concurrency", "2"]
    command += ["--llm.base_url", server.url, "--llm.model", "m"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    env.pop("OPENAI_API_KEY", None)
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    cache = tmp_path / "set.cache"
    deadline = time.monotonic() + 60
    while len(list(cache.glob("[!.]*.json"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    paid = {json.loads(p.read_text())["request"]["messages"][1]["content"].split("\n\n")[1]
            for p in cache.glob("[!.]*.json")}  # fmt: skip
    assert 4 <= len(paid) < 12 and not (tmp_path / "set.jsonl").exists()
    time.sleep(0.5)
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(lines_of(tmp_path / "set.jsonl")) == 36
    assert all(server.asked[question] == 1 for question in paid)
    assert sum(server.asked.values()) <= 12 + 2  # those under way at the kill
