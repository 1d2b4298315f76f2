"""Pure: facts to a Snapshot for the engine, and who the writer is."""
