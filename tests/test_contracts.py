"""Every built-in plugin keeps the contract that strangers' plugins are held to."""

from __future__ import annotations

from typing import ClassVar

from pcclip.testing import CaptionerContract, EmbedderContract, LossContract, StrategyContract


class TestTemplate(CaptionerContract):
    name = "template"


class TestMini(EmbedderContract):
    name = "mini"
    options: ClassVar = {"device": "cpu"}


class TestContrastive(LossContract):
    name = "contrastive"


class TestLearnedContrastive(LossContract):
    name = "contrastive"
    options: ClassVar = {"learn_temperature": True}


class TestMSE(LossContract):
    name = "mse"


class TestSiglip(LossContract):
    name = "siglip"


class TestAntisymmetry(LossContract):
    name = "antisymmetry"


class TestRetain(LossContract):
    name = "retain"


class TestRetainText(LossContract):
    name = "retain"
    options: ClassVar = {"target": "text"}


class TestZeroShot(StrategyContract):
    name = "zero-shot"


class TestComparative(StrategyContract):
    name = "comparative"


class TestExtended(StrategyContract):
    name = "extended"


class TestDescriptions(StrategyContract):
    name = "descriptions"


class TestCupl(StrategyContract):
    name = "cupl"


class TestWaffle(StrategyContract):
    name = "waffle"


class TestFudd(StrategyContract):
    name = "fudd"


class TestProbe(StrategyContract):
    name = "probe"
