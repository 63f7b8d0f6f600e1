"""Calendar periods named in English text, absolute ("7 May 2023") or relative ("the weekend before last Tuesday")."""

from memsvc.text.dates.forms import named_days, without_times
from memsvc.text.dates.periods import Period, closeness
from memsvc.text.dates.ranges import find_periods

__all__ = ["Period", "closeness", "find_periods", "named_days", "without_times"]
