"""Examples to batches, batches to losses and judgements: what the loop trains."""
