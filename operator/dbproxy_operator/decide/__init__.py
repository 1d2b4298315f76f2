"""Pure: from what was observed to what should be."""
