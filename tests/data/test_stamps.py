"""The stamps: apt, dpkg and the cache, with real packages; and the real data set where it can be had."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pcclip.data import read
from pcclip.data.cache import made_once
from pcclip.data.debian import fetch_package, unpack_package
from pcclip.data.stamps import INSTALLED, LABELS, is_plain_phrase, label_of, read_stamps, unpack_stamps
from pcclip.errors import DataError
from pcclip.files import cache_folder

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not on this machine")
needs_apt = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None, reason="apt-get is not on this machine"
)


@pytest.fixture
def stamps_deb(tmp_path, picture):
    """A small package with the layout of the real one."""
    root = tmp_path / "package"
    stamps = root / "usr/share/tuxpaint/stamps"
    for i, name in enumerate(["animals/birds/owl", "symbols/one", "town/flags/red", "food/fruit/kiwi", "boom"]):
        file = picture(stamps / f"{name}.png", i)
        caption = {"boom": "Boom! It goes off."}.get(name, f"A {file.stem}.")
        file.with_suffix(".txt").write_text(f"{caption}\nde.utf8=Ein Ding.\n", encoding="utf-8")
        file.with_suffix(".ogg").write_bytes(b"sound")
    picture(stamps / "animals/birds/owl_mirror.png", 7)
    copy = stamps / "animals/birds/owl2.png"
    copy.write_bytes((stamps / "animals/birds/owl.png").read_bytes())
    copy.with_suffix(".txt").write_text("Another owl.")
    (stamps / "food/bread.svg").write_text("<svg/>")
    (stamps / "food/bread.txt").write_text("Bread.")
    doc = root / "usr/share/doc/tuxpaint-stamps-default"
    doc.mkdir(parents=True)
    (doc / "copyright").write_text("free")
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        "Package: tuxpaint-stamps-default\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@example.org>\n"
        "Description: small\n"
    )
    deb = tmp_path / "repo" / "tuxpaint-stamps-default_1.0_all.deb"
    deb.parent.mkdir()
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(root), str(deb)], check=True, capture_output=True, timeout=60
    )
    return deb


@needs_dpkg
def test_a_package_is_unpacked_without_its_sounds_and_read(stamps_deb, tmp_path):
    (tmp_path / "w").mkdir()
    folder = unpack_stamps(stamps_deb, tmp_path / "w")
    assert not list(folder.rglob("*.ogg"))
    assert (folder / "copyright").read_text() == "free"
    dataset = read_stamps(folder)
    assert [(e.id, e.captions, e.label) for e in dataset] == [
        ("animals/birds/owl.png", ("A owl.",), "bird"),
        ("food/fruit/kiwi.png", ("A kiwi.",), "fruit"),
    ]
    assert dataset.quarantined == ()
    (note,) = dataset.notes
    for part in ("1 that exist only as SVG", "2 that show symbols", "1 that have no caption", "1 that are the same"):
        assert part in note
    assert "1 that have a caption that is not one plain phrase" in note
    assert [e.id for e in read_stamps(folder, all_folders=True)] == [
        "animals/birds/owl.png",
        "boom.png",
        "food/fruit/kiwi.png",
        "symbols/one.png",
        "town/flags/red.png",
    ]


@needs_dpkg
def test_broken_and_wrong_packages_are_named(stamps_deb, tmp_path):
    broken = tmp_path / "broken.deb"
    broken.write_bytes(stamps_deb.read_bytes()[:-300])
    (tmp_path / "o").mkdir()
    with pytest.raises(DataError, match=r"cannot unpack 'broken.deb'"):
        unpack_package(broken, tmp_path / "o")
    shutil.rmtree(tmp_path / "package/usr/share/tuxpaint")
    other = tmp_path / "other.deb"
    subprocess.run(["dpkg-deb", "--build", str(tmp_path / "package"), str(other)], check=True, capture_output=True)
    (tmp_path / "w").mkdir()
    with pytest.raises(DataError, match="holds no stamps"):
        unpack_stamps(other, tmp_path / "w")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): ...


@pytest.fixture
def repository(stamps_deb):
    """Serve the package as a Debian archive on this machine; return apt options that name it as the only source."""
    repo = stamps_deb.parent
    content = stamps_deb.read_bytes()
    entry = (
        "Package: tuxpaint-stamps-default\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@example.org>\n"
        f"Filename: ./{stamps_deb.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
        "Description: small\n\n"
    )
    (repo / "Packages").write_text(entry)
    (repo / "Packages.gz").write_bytes(gzip.compress(entry.encode()))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(repo)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield sources(repo.parent, server.server_address[1])
    server.shutdown()
    thread.join()
    server.server_close()


def sources(folder: Path, port: int) -> list[str]:
    file = folder / "sources.list"
    file.write_text(f"deb [trusted=yes] http://127.0.0.1:{port} ./\n")
    return [f"Dir::Etc::sourcelist={file}", "Dir::Etc::sourceparts=/dev/null", "Acquire::http::Proxy=false"]


@needs_apt
def test_apt_fetches_with_lists_of_its_own_where_the_machine_has_none(repository, stamps_deb, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    sizes = []

    class Progress:
        def task(self, title, total=None, unit="it", done=0):
            from pcclip.progress import NoProgress

            sizes.append((total, unit))
            return NoProgress().task(title, total, unit, done)

    file = fetch_package("tuxpaint-stamps-default", work, options=repository, progress=Progress())
    assert file.read_bytes() == stamps_deb.read_bytes()
    assert (stamps_deb.stat().st_size, "B") in sizes


@needs_apt
def test_a_package_that_was_tampered_with_is_refused(repository, stamps_deb, tmp_path):
    content = bytearray(stamps_deb.read_bytes())
    content[-40] ^= 1
    stamps_deb.write_bytes(content)
    (tmp_path / "work").mkdir()
    with pytest.raises(DataError, match=r"apt cannot fetch .*[Hh]ash"):
        fetch_package("tuxpaint-stamps-default", tmp_path / "work", options=repository)


@needs_apt
def test_an_unknown_package_is_named(repository, tmp_path):
    (tmp_path / "work").mkdir()
    with pytest.raises(DataError, match=r"apt cannot fetch 'pcclip-no-such-package'.*locate"):
        fetch_package("pcclip-no-such-package", tmp_path / "work", options=repository)


@needs_apt
def test_a_server_that_never_answers_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = sources(tmp_path, silent.getsockname()[1])
        (tmp_path / "work").mkdir()
        with pytest.raises(DataError, match=r"apt cannot fetch .*did not finish in 2 seconds"):
            fetch_package("tuxpaint-stamps-default", tmp_path / "work", options=options, timeout=2)


def test_without_apt_the_error_leads_to_scenes(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PCCLIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pcclip.data.stamps.INSTALLED", tmp_path / "not-installed")
    with pytest.raises(DataError, match=r"cannot be fetched: .*apt-get") as caught:
        read("stamps")
    assert "--data scenes" in caught.value.hint
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


MAKE = """
import os, signal, sys, time
from pathlib import Path
from pcclip.data.cache import made_once

def make(scratch):
    with open(sys.argv[2], "a") as log:
        log.write("made\\n")
    (scratch / "new").mkdir()
    (scratch / "new" / "first").write_text("1")
    if sys.argv[3] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.5)
    (scratch / "new" / "second").write_text("2")
    return scratch / "new"

print(sorted(p.name for p in made_once(Path(sys.argv[1]), make).iterdir()))
"""


def maker(tmp_path, how):
    arguments = [str(tmp_path / "cache" / "thing"), str(tmp_path / "log"), how]
    return subprocess.Popen([sys.executable, "-c", MAKE, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_killed_process_leaves_nothing_that_is_used(tmp_path):
    killed = maker(tmp_path, "die")
    killed.communicate(timeout=30)
    assert killed.returncode == -9
    assert not (tmp_path / "cache" / "thing").exists()
    assert [p for p in (tmp_path / "cache").iterdir() if p.is_dir()]  # its half is still there
    again = maker(tmp_path, "live")
    assert again.communicate(timeout=30)[0].strip() == "['first', 'second']"
    assert [p.name for p in (tmp_path / "cache").iterdir() if p.is_dir()] == ["thing"]


def test_two_processes_make_it_once(tmp_path):
    both = [maker(tmp_path, "live") for _ in range(2)]
    assert [one.communicate(timeout=30)[0].strip() for one in both] == ["['first', 'second']"] * 2
    assert (tmp_path / "log").read_text() == "made\n"


def test_waiting_for_another_process_ends(tmp_path):
    import filelock

    with (
        filelock.FileLock(tmp_path / ".thing.lock", is_singleton=False),
        pytest.raises(DataError, match="another process has been making"),
    ):
        made_once(tmp_path / "thing", lambda scratch: scratch, lock_timeout=0.1)


def test_labels_fit_into_a_prompt():
    assert label_of("animals/birds/cartoon/tux.png") == "bird"
    assert label_of("animals/mammals/bears/toys/edward_bear.png") == "toy"
    assert label_of("people/cartoon/snowman.png") is None
    assert label_of("naturalforces/fire.png") is None
    assert all(label is None or label == label.lower().strip() for label in LABELS.values())


@pytest.mark.parametrize(
    ("caption", "plain"),
    [
        ("A red apple.", True),
        ("A “Fuji” apple.", True),
        ("Boom!!!", False),
        ("Who?", False),
        ("A pen. Write!", False),
        ("one two three four five six seven", True),
        ("one two three four five six seven eight", False),
    ],
)
def test_plain_phrases(caption, plain):
    assert is_plain_phrase(caption) is plain


def reason_against_fetching() -> str:
    if INSTALLED.is_dir() or (cache_folder() / "stamps").is_dir():
        return ""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "the stamps are not in the cache, and apt-get is not on this machine"
    try:
        socket.create_connection(("deb.debian.org", 80), timeout=3).close()
    except OSError as error:
        return f"the stamps are not in the cache, and deb.debian.org cannot be reached: {error}"
    return ""


def test_the_real_stamps():
    """Fetches 160 MB on the first run, into the shared cache."""
    reason = reason_against_fetching()
    if reason:
        pytest.skip(reason)
    dataset = read("stamps")
    assert 400 <= dataset.n <= 550  # 457 in version 2022.06.04
    assert dataset.bad_fraction < 0.01
    assert len(dataset.labels) >= 20
    assert all(e.image.is_file() and is_plain_phrase(e.caption) for e in dataset)
    assert dataset.label_counts["mammal"] > 50
    captions = {e.id: e.caption for e in dataset}
    assert captions["food/fruit/banana.png"] == captions["food/fruit/cartoon/banana.png"] == "A banana."
    # An entry of the table that fits no picture is a slip of the pen, or the package has changed.
    ids = [e.id.removesuffix(".png") for e in read("stamps:all")]
    assert [key for key in LABELS if not any(f"{id}/".startswith(f"{key}/") for id in ids)] == []
