"""Questions that read models answer: lists with their filters and paging, summary, failures, patterns, usage report."""
