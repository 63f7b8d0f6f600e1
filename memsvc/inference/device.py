"""Where a local encoder computes, and with which numbers."""

import torch

from memsvc.config import Device
from memsvc.errors import ConfigurationError


def choose_device(wanted: Device) -> str:
    """`auto` takes CUDA, then MPS, then the CPU; a device asked for by name must be there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, there in available.items() if there)
    if not available[wanted]:
        raise ConfigurationError(
            f"MEMSVC_DEVICE={wanted}, but torch finds no such device here",
            remedy="Set MEMSVC_DEVICE=auto, or install a build of torch for that device.",
        )
    return wanted


def choose_dtype(device: str) -> torch.dtype:
    """Half precision where it is fast: fp16 on CUDA, bf16 on a CPU that computes in it; else float32."""
    if device == "cuda":
        return torch.float16
    return torch.bfloat16 if device == "cpu" and _cpu_computes_bf16() else torch.float32


def _cpu_computes_bf16() -> bool:
    # Without these instructions bf16 is emulated and several times slower than fp32. An older torch cannot say.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
