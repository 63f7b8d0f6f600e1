"""How many tokens a text will cost a language model, without knowing which one."""

import math

CHARACTERS_A_TOKEN = 4


def estimate_tokens(text: str) -> int:
    """About one token for four ASCII characters, one for every other character; never 0 for a text.

    Models' tokenizers differ by more than this estimate errs, and a budget should not wait for one.
    """
    if text.isascii():
        return math.ceil(len(text) / CHARACTERS_A_TOKEN)
    others = sum(not character.isascii() for character in text)
    return math.ceil((len(text) - others) / CHARACTERS_A_TOKEN) + others
