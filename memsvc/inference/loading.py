"""From the settings to an encoder. What a kind of encoder needs is imported when it is asked for: torch is slow."""

from memsvc.config import Settings
from memsvc.inference.types import Encoder

REMOTE = "remote:"


def load_encoder(settings: Settings) -> Encoder:
    """The encoder that `settings.encoder` names: `remote:<model>`, a registered name, a folder or a hub name.

    Raises `ConfigurationError` when there is no such encoder or its files are not as they should be, and
    `EncoderUnavailableError` when a remote one does not answer.
    """
    if settings.encoder.startswith(REMOTE):
        from memsvc.inference.remote import open_remote

        return open_remote(settings.encoder.removeprefix(REMOTE), settings)
    from memsvc.inference.local import load_local

    return load_local(settings)
