"""Run a contract without pytest: what ``pcclip plugins check`` does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pcclip.errors import PcclipError
from pcclip.faults import described
from pcclip.testing.captioners import CaptionerContract
from pcclip.testing.contract import Contract, ContractError
from pcclip.testing.embedders import EmbedderContract
from pcclip.testing.losses import LossContract
from pcclip.testing.strategies import StrategyContract

CONTRACTS: Mapping[str, type[Contract]] = {
    contract.kind: contract for contract in (EmbedderContract, CaptionerContract, LossContract, StrategyContract)
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check came to.

    Attributes:
        check: the check in words.
        status: ``ok``, ``failed``, or ``not run`` after the plugin could not even be made.
        detail: why.
    """

    check: str
    status: Literal["ok", "failed", "not run"]
    detail: str = ""


def check_plugin(kind: str, name: str, options: Mapping[str, Any] | None = None) -> Iterator[Outcome]:
    """Yield an outcome for each check of the contract of ``kind``, as soon as it is there.

    Args:
        name: what users write to choose the plugin.
        options: its options, where the defaults do not do.
    """
    contract = type("Checked", (CONTRACTS[kind],), {"name": name, "options": options or {}})
    yield from run(contract)


def run(contract: type[Contract]) -> Iterator[Outcome]:
    """Yield the outcomes of a contract's checks, those of every plugin first."""
    usable = True
    try:
        for method, words in _checks(contract):
            if not usable:
                yield Outcome(words, "not run", "the plugin cannot be made")
                continue
            outcome = _outcome(getattr(contract(), method), words)
            usable = outcome.status != "failed" or method != _MAKES_IT
            yield outcome
    finally:
        closed = _outcome(contract.teardown_class, "It can be closed after all of that")
    if closed.status == "failed":
        yield closed


_MAKES_IT = "test_the_target_implements_its_interface"


def _checks(contract: type[Contract]) -> Iterator[tuple[str, str]]:
    """Yield each check's method and what it says of itself, in the order in which they were written down."""
    names = {name: None for part in reversed(contract.__mro__) for name in vars(part) if name.startswith("test_")}
    for name in names:
        document = inspect.getdoc(getattr(contract, name)) or name.removeprefix("test_").replace("_", " ")
        yield name, document.partition("\n")[0].rstrip(".").replace("``", "")


def _outcome(check: Callable[[], None], words: str) -> Outcome:
    try:
        check()
    except (ContractError, PcclipError) as error:
        return Outcome(words, "failed", " ".join(str(error).split()))
    except Exception as error:
        return Outcome(words, "failed", described(error))
    return Outcome(words, "ok")
