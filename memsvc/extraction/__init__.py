"""From what was said to what it says: facts, segments, summaries. Pure, English, and no model needed."""
