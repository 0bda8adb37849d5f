"""Load one entry point, and note what that costs."""

from __future__ import annotations

# Libraries that compute or talk to a network: each costs more than all that listing plugins needs
HEAVY = frozenset(
    """accelerate cv2 datasets httpx httpx2 huggingface_hub jax llama_cpp matplotlib numpy onnxruntime open_clip openai
    pandas peft PIL pyarrow ray requests scipy sentence_transformers sklearn tensorflow timm tokenizers torch
    torchvision transformers vllm""".split()
)
