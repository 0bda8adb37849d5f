"""Opens a page in Chromium, as Qt ships it (PySide6-WebEngine on PyPI), and tells what a script in it found.

Run as a program, for Chromium wants a process with its own event loop, and takes the colour scheme when it starts:
``python browser.py page.html 360 light SCRIPT PICTURE 900``. JSON on standard output:
``console`` (messages), ``requests`` (everything that was asked for), ``value`` (of the script).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 60


@dataclass(frozen=True)
class Seen:
    """What came of opening a page."""

    console: list[str]
    requests: list[str]
    value: Any


def look(
    page: Path,
    *,
    width: int = 1280,
    height: int = 900,
    dark: bool = False,
    script: str = "null",
    picture: Path | None = None,
) -> Seen:
    """Open a page in a process of its own; ``script`` is JavaScript whose value is JSON.

    Args:
        width, height: of the window, in CSS pixels.
        dark: the user's colour scheme.
        picture: where to put a PNG of the window.
    """
    arguments = [str(page), str(width), "dark" if dark else "light", script, str(picture or ""), str(height)]
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, timeout=2 * SECONDS)
    if done.returncode:
        raise AssertionError(f"the browser ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return Seen(**json.loads(done.stdout.splitlines()[-1]))


def main(page: str, width: str, scheme: str, script: str, picture: str, height: str) -> int:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    # a browser that may not open namespaces, as root or in a container, must do without its sandbox: the page is ours
    os.environ["QTWEBENGINE_DISABLE_SANDBOX"] = "1"
    flags = f"--disable-gpu --blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
    os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = flags

    from PySide6.QtCore import QTimer, QUrl
    from PySide6.QtWebEngineCore import QWebEnginePage, QWebEngineProfile, QWebEngineUrlRequestInterceptor
    from PySide6.QtWebEngineWidgets import QWebEngineView
    from PySide6.QtWidgets import QApplication

    found: dict[str, Any] = {"console": [], "requests": [], "value": None}

    class Requests(QWebEngineUrlRequestInterceptor):
        def interceptRequest(self, info: Any) -> None:  # noqa: N802 - Qt's name
            found["requests"].append(info.requestUrl().toString()[:200])

    class Page(QWebEnginePage):
        def javaScriptConsoleMessage(self, level: Any, message: str, line: int, source: str) -> None:  # noqa: N802
            found["console"].append(f"{level.name}: {message}")

    application = QApplication(sys.argv[:1])
    profile = QWebEngineProfile()  # off the record: nothing is kept
    requests = Requests()
    profile.setUrlRequestInterceptor(requests)
    view = QWebEngineView()
    opened = Page(profile, view)
    view.setPage(opened)
    view.resize(int(width), int(height))
    view.show()

    def loaded(well: bool) -> None:
        if not well:
            application.exit(3)
        opened.runJavaScript(f"JSON.stringify({script})", answered)

    def answered(value: str) -> None:
        found["value"] = json.loads(value or "null")  # an empty text is what a script that fails gives
        QTimer.singleShot(500 if picture else 100, shown)  # painting, and what the page may still say or ask for

    def shown() -> None:
        if picture:
            view.grab().save(picture)
        application.quit()

    opened.loadFinished.connect(loaded)
    view.load(QUrl.fromLocalFile(str(Path(page).resolve())))
    QTimer.singleShot(1000 * SECONDS, lambda: application.exit(4))
    code = application.exec()
    view.setPage(None)
    opened.deleteLater()
    if not code:
        print(json.dumps(found))
    sys.stdout.flush()
    os._exit(code)  # Qt's order of taking itself down is not ours to mend


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
