"""How each database engine is asked for health and role; siblings that never import each other."""
