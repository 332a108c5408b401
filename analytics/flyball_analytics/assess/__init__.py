"""What a map of integrations means: checklist, advice, hazards, money, order of work, first policy."""
