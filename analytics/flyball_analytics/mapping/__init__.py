"""Drafts an integration map from what exists: source code and AWS; says what it could not know."""
