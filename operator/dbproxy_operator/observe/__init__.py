"""One read of the world: what there is (`world`), what refers to what, what the pods report."""
