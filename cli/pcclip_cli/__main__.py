"""``python -m pcclip_cli``"""

from __future__ import annotations

from pcclip_cli.main import run

run()
