"""Upkeep: consolidating, forgetting and compressing. Each run reads, thinks, and applies as one undoable operation."""
