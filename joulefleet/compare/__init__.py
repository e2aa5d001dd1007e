"""From rows of a store to a verdict: what is compared, estimated, pooled, judged and said."""
