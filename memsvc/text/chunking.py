import re
from dataclasses import dataclass
@dataclass(frozen=True, slots=True)
class Span:
    start: int
    end: int
def split(content, *, count_tokens, max_tokens, target_tokens=120):
    out=[];pos=0
    for m in re.finditer(r"\S.{0,400}?(?:[.!?\n]+(?=\s|$)|$|(?<=.{400}))",content,re.S):
        out.append(Span(m.start(),m.end()))
    return out or [Span(0,len(content))]
